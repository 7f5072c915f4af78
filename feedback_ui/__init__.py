"""The studio: a Streamlit app in which people listen, vote and see what was learnt.

studio: the web application
navigation: the script that runs for each visitor
app_pages: one file for each page
views: what pages are made of, in Streamlit
components: parts of pages in HTML, CSS and JavaScript
services: what the studio does, without Streamlit
server: starting the server
"""
