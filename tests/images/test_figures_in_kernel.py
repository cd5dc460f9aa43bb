"""What a notebook shows of a figure is what is sent: the same pixels, in a kernel with the inline backend."""

import base64
import io

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from kernels import execute
from PIL import Image

START = """
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib_inline.backend_inline import set_matplotlib_formats
from amber_nb import image_part
frame = pd.DataFrame(np.arange(20.0).reshape(5, 4) ** 2, columns=list("abcd"))
def sent(source):
    print(image_part(source)["image_url"]["url"].partition(",")[2])
"""
LEGEND = "fig, ax = plt.subplots(); ax.plot([1, 2], label='a long name'); ax.legend(bbox_to_anchor=(1.05, 1))"
CONFIG = "%config InlineBackend.print_figure_kwargs = "
# By what is particular: the code of a cell that draws `picture`, which the notebook shows below the cell.
CELLS = {
    "legend outside": f"{LEGEND}; picture = fig",
    "rotated labels": "picture = frame.rename(index=lambda n: f'a rather long label {n}').plot.bar()",
    "a figure's legend and title": f"{LEGEND}; fig.legend(loc='lower center'); fig.suptitle('T', y=1.1); picture = ax",
    "text far left": "fig, ax = plt.subplots(); ax.text(-1, 0.5, 'far away'); picture = fig",
    "constrained": "fig, axes = plt.subplots(2, 2, layout='constrained'); axes[0, 0].set_ylabel('y'); picture = axes",
    "tight": "fig, axes = plt.subplots(2, 2, layout='tight'); axes[1, 1].set_title('below'); picture = fig, axes",
    "aspect": "picture = plt.imshow(np.eye(3))",
    "colour bar": "picture = frame.plot.scatter('a', 'b', c='c', colormap='viridis')",
    "colour bar of colours": "fig, ax = plt.subplots(); fig.colorbar(plt.cm.ScalarMappable(), ax=ax); picture = ax",
    "colour bar in axes of its own": "fig, ax = plt.subplots(); cax = fig.add_axes([0.95, 0.1, 0.02, 0.8]); "
    "fig.colorbar(ax.imshow(np.eye(3)), cax=cax, label='units'); picture = ax",
    "second y axis": "picture = frame.plot(secondary_y=['b'])",
    "twin": "fig, ax = plt.subplots(); twin = ax.twinx(); twin.plot([1, 9]); twin.set_ylabel('right'); picture = ax",
    "twin itself": "fig, ax = plt.subplots(); picture = ax.twiny(); picture.set_xlabel('top')",
    "inset": "fig, ax = plt.subplots(); inset = ax.inset_axes([0.8, 0.8, 0.5, 0.5]); inset.plot([1, 2]); picture = ax",
    "axes upon axes": "fig, ax = plt.subplots(); fig.add_axes([0.6, 0.6, 0.2, 0.2]).plot([1, 2]); picture = ax",
    "secondary scale": "fig, ax = plt.subplots(); ax.secondary_yaxis('right').set_ylabel('°F'); picture = ax",
    "line": "picture = plt.plot([1, 3, 2])",
    "dark": "fig, ax = plt.subplots(facecolor='#222'); ax.plot([1, 2]); picture = fig",
    "polar": "picture = plt.subplot(projection='polar').set_title('north', pad=40)",
    "3-D": "picture = plt.figure().add_subplot(projection='3d'); picture.set_zlabel('height')",
    "dpi": "picture = plt.figure(dpi=150, figsize=(3, 2)).add_subplot()",
    "padding by rcParams": "plt.rcParams['savefig.pad_inches'] = 1; picture = plt.plot([1, 2])",
    "files' rcParams": "plt.rcParams.update({'savefig.dpi': 30, 'savefig.facecolor': 'red'}); picture = plt.plot([1])",
    "files without a ground": "plt.rcParams['savefig.transparent'] = True; picture = plt.plot([1, 2])",
    "figure's own box": f"{CONFIG}{{'bbox_inches': None}}\n{LEGEND}; picture = fig",
    "wide margins": f"{CONFIG}{{'bbox_inches': 'tight', 'pad_inches': 1}}\n{LEGEND}; picture = ax",
    "ground": f"{CONFIG}{{'facecolor': 'yellow'}}\n{LEGEND}; picture = ax",
    "formats": f"set_matplotlib_formats('png', bbox_inches=None)\n{LEGEND}; picture = fig",
    "jpeg too": f"{CONFIG}{{'bbox_inches': None}}\n%config InlineBackend.figure_formats = ['png', 'jpeg']\n{LEGEND}; "
    "picture = ax",
}
RESET = """%config InlineBackend.figure_formats = ['png']
%config InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight'}
plt.rcdefaults(); before = dict(plt.rcParams)"""


@pytest.fixture(scope="module")
def client():
    manager, client = start_new_kernel(kernel_name="python3")
    execute(client, START)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("name", CELLS)
def test_it_is_what_is_shown(client, name):
    execute(client, RESET)
    shown, _ = execute(client, CELLS[name])
    pictures = [bundle["image/png"] for bundle in shown if "image/png" in bundle]
    assert len(pictures) == 1
    again, printed = execute(client, "before = dict(plt.rcParams); sent(picture); print(before == dict(plt.rcParams))")
    sent, unchanged = printed.split()
    assert (unchanged, again) == ("True", [])
    first, second = decode(pictures[0]), decode(sent)
    assert first.shape == second.shape
    # Each time that matplotlib lays a figure out tightly, its axes move by a last bit: in 3.9 a mean of 1.2 levels.
    assert np.abs(first - second).mean() <= (3 if name == "tight" else 0)


def decode(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"), dtype=float)


def test_the_screen_of_two_pixels_for_each_changes_nothing(client):
    execute(client, RESET)
    shown, _ = execute(client, f"%config InlineBackend.figure_formats = ['retina']\n{LEGEND}; picture = fig")
    (large,) = [bundle for bundle in shown if "image/png" in bundle]
    _, printed = execute(client, "print(image_part(picture).sent.size)")
    execute(client, RESET)
    shown, _ = execute(client, f"{LEGEND}; picture = fig")
    _, usual = execute(client, "print(image_part(picture).sent.size)")
    assert printed == usual
    assert large["image/png"] != shown[0]["image/png"]
