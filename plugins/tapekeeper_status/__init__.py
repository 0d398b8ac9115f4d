"""The status page: a Flask application and the guard in front of it."""
