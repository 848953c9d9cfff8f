"""What existing callers rely on: names, positions and defaults, as they were before this package."""

import inspect
import subprocess
import sys

import pytest

import generation_history

# As in docs of the old system: every argument by position, in this order, with these defaults.
SIGNATURES = {
    "GenerationManager": """
        __init__(owner_id=None)
        create_generation(source_video_url, source_video_type, variant_types, cost_estimate)
        update_generation_status(generation_id, status, error_message=None, actual_cost=None)
        create_variant(generation_id, variant_type, total_scenes=4)
        update_variant_status(variant_id, status, scenes_completed=None, error_message=None)
        create_scene(variant_id, scene_number, sora_prompt)
        update_scene(scene_id, sora_video_id=None, sora_status=None, video_url=None, thumbnail_url=None, duration=None,\
 resolution=None, file_size=None, status=None, error_message=None)
        save_metadata(generation_id, original_analysis=None, transformation_data=None, prompts_data=None,\
 evaluation_data=None)
        get_generation(generation_id)
        list_generations(limit=50, offset=0, status=None)
        get_variant_scenes(variant_id)
        delete_generation(generation_id)
    """,
    "VideoStorageManager": """
        __init__()
        download_sora_video(video_content_url, openai_api_key)
        generate_thumbnail(video_path)
        get_video_metadata(video_path)
        upload_video_to_spaces(video_path, generation_id, variant_type, scene_number)
        upload_thumbnail_to_spaces(thumbnail_path, generation_id, variant_type, scene_number)
        process_and_store_video(sora_content_url, openai_api_key, generation_id, variant_type, scene_number)
        cleanup_temp_directory(max_age_hours=24)
    """,
    "PipelineIntegrator": """
        __init__()
        start_generation(source_video_url, source_video_type, variant_types, cost_estimate)
        save_analysis_metadata(generation_id, analysis)
        save_transformation_metadata(generation_id, transformation)
        save_prompts_metadata(generation_id, prompts)
        save_evaluation_metadata(generation_id, evaluation)
        create_scene_records(generation_id, variant_type, prompts)
        process_sora_video(scene_id, sora_video_id, sora_content_url, generation_id, variant_type, scene_number)
        mark_generation_failed(generation_id, error_message)
    """,
}
OLD_NAMES = {
    "generation_manager": "GenerationManager",
    "video_storage_manager": "VideoStorageManager",
    "pipeline_integrator": "PipelineIntegrator",
    "history_api": "register_history_api",
}


def positional(function: object) -> str:
    """The signature without self and without what is keyword-only, which must then be optional."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    new = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert all(parameter.default is not parameter.empty for parameter in new)
    old = [parameter.replace(annotation=parameter.empty) for parameter in parameters if parameter not in new]
    assert all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in old)
    return f"{function.__name__}{inspect.Signature(old)}"


@pytest.mark.parametrize(
    ("name", "promised"),
    [(name, line.strip()) for name, lines in SIGNATURES.items() for line in lines.strip().splitlines()],
)
def test_a_method_takes_the_arguments_it_always_took(name: str, promised: str):
    method = getattr(getattr(generation_history, name), promised.partition("(")[0])

    assert positional(method) == promised


@pytest.mark.parametrize(("module", "name"), OLD_NAMES.items())
def test_the_old_import_names_lead_to_the_same_things(module: str, name: str):
    assert getattr(__import__(module), name) is getattr(generation_history, name)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="GenerationManagre"):
        generation_history.GenerationManagre  # noqa: B018


@pytest.mark.parametrize(
    "reading",
    ["from generation_manager import GenerationManager", "from generation_history import GenerationManager"],
)
def test_reading_needs_nothing_of_what_moves_bytes(reading: str):
    heavy = (
        "boto3",
        "botocore.session",
        "requests",
        "imageio_ffmpeg",
        "generation_history.media.video_storage_manager",
    )
    code = f"{reading}\nimport sys\nprint(sorted(set({heavy!r}) & set(sys.modules)))"

    answer = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (answer.stdout, answer.stderr) == ("[]\n", "")
