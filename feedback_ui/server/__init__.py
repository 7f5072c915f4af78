"""Starting the server, and what it does with each request.

launch: the command that starts the studio
serve: the server process
middleware: what is done with a request before Streamlit sees it
visitors: what a request tells of who sends it
started: what this server was started with
cookies: what the studio keeps in a browser, and how a page has it set
own_address: Streamlit's look-up of the machine's own address, switched off
"""
