"""The studio: a Streamlit app in which people listen blind and vote; the logic is in `session`."""
