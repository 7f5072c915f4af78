"""What the pages are made of: Python that mounts a component, with its JavaScript, CSS and HTML."""
