"""The kernel that runs a notebook: the one that it names, another one, or this Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from ..config import display_path
from ..errors import ConfigError

__all__ = ["UnknownKernel", "find_other_kernels", "make_kernel_manager"]

_CURRENT = "amber-current-env"  # the name of no kernel that anybody installs


class UnknownKernel(ConfigError):
    """The kernel that a notebook names, or that was asked for, is not installed here."""


class _KernelSpecs(KernelSpecManager):
    """The kernels that are installed, and one more: Python as it runs here."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        if kernel_name == _CURRENT:
            return self.kernel_spec_class(resource_dir=RESOURCES, **get_kernel_dict())
        return super().get_kernel_spec(kernel_name)


def find_other_kernels(name: str) -> list[str]:
    """Return no names where a kernel of this name is installed, else the names of those that are."""
    specs = KernelSpecManager()
    try:
        specs.get_kernel_spec(name)
    except NoSuchKernel:
        return sorted(specs.find_kernel_specs())
    return []


def make_kernel_manager(notebook: Path, book: Any, kernel: str | None, *, current_env: bool) -> AsyncKernelManager:
    """Return the manager of the kernel that is to run a notebook.

    Args:
        notebook: the file, for messages.
        book: its content, whose metadata name a kernel.
        kernel: the name of another one.
        current_env: take the Python that runs here, whatever its kernel is called.

    Raises:
        UnknownKernel: it is not installed; the message has the way out.
    """
    name = kernel or book.metadata.get("kernelspec", {}).get("name") or "python3"
    if current_env:
        name = _CURRENT
    elif installed := find_other_kernels(name):
        there = f"There are: {', '.join(installed)}."
        if kernel:
            raise UnknownKernel(f"No kernel {name!r} is installed here. {there}")
        raise UnknownKernel(
            f"{display_path(notebook)} wants the kernel {name!r}, which is not installed here. Take this environment "
            f"with --current-env, or another kernel with --kernel NAME. {there}"
        )
    return AsyncKernelManager(kernel_name=name, kernel_spec_manager=_KernelSpecs())
