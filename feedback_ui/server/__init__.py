"""Starting the server.

launch: the command that starts the studio
serve: the server process
"""
