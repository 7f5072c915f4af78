"""Pages of the studio; Streamlit runs each as a script, nothing imports them."""
