"""The old import name of register_history_api."""

from generation_history.history_api import register_history_api as register_history_api
