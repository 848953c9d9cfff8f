"""An older installation's own integrator. It is here to be in the way: a pipeline that imports it records nothing."""


class PipelineIntegrator:
    def start_generation(self, **_: object) -> None:
        raise NotImplementedError("the older module is still in the folder")

    def mark_generation_failed(self, _generation_id: str, error_message: str) -> None:
        raise NotImplementedError(error_message)
