"""A Flask server with the history API and the library page: yours has routes of its own beside them."""

from flask import Flask
from history_api import register_history_api

app = Flask("history")
register_history_api(app, page=True)
