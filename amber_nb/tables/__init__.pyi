from .frames import models_frame, tools_frame, usage_frame

__all__ = ["models_frame", "tools_frame", "usage_frame"]
