"""Parts of pages in HTML, CSS and JavaScript.

parts: reads the files of a component
media: audio addresses for components
listening_pair: two players and the vote
tune_player: one player
text_table: a table that a screen reader can read
cookie_fetcher: has the browser fetch cookies
focus_keeper: keeps the keyboard focus when a page changes
theme_watcher: tells whether the page is light or dark
"""
