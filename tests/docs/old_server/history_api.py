"""An older installation's own routes of its history."""

from typing import Any

from flask import Flask, jsonify
from generation_manager import GenerationManager


def register_history_api(app: Flask) -> None:
    manager = GenerationManager()

    @app.get("/api/history/generations")
    def list_generations() -> Any:
        return jsonify(success=True, generations=manager.list_generations())

    @app.get("/api/history/generations/<generation_id>")
    def get_generation(generation_id: str) -> Any:
        return jsonify(success=True, generation=manager.get_generation(generation_id))
