"""Questions with images: what is sent, what is seen of it, and what is kept."""

import asyncio
import base64
import json
import pickle
import subprocess
import sys

import pytest
from PIL import Image

from amber_nb import Amber, CassetteMiss, ImageError, ImageInput, image_part
from amber_nb.errors import annotate
from amber_nb.images.part import collect_images

ORANGE = Image.new("RGB", (320, 180), "#f28c28")
WIDE = Image.new("RGB", (4_096, 600), "#2355d7")


def shown(answer):
    return answer._repr_mimebundle_()


def test_an_image_follows_the_text_of_the_question(simulated):
    answer = simulated.ask("Which colour?", system="Be brief.", images=ORANGE)
    _, user, assistant = answer.messages
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert user["content"][0]["text"] == "Which colour?"
    assert user["content"][1]["image_url"].keys() == {"url"}
    assert "mostly orange" in assistant["content"]
    assert type(user["content"][1]) is dict


def test_the_strip_comes_before_the_answer_and_not_into_its_text(simulated):
    answer = simulated.ask("Which colour?", images=[ORANGE, WIDE, "https://a.example/b.png?sig=1"])
    html, plain = shown(answer)["text/html"], shown(answer)["text/plain"]
    assert html.count("<img") == 2
    assert html.index("amber-images") < html.index("amber-md")
    assert "4096 × 600 → 2048 × 300" in html
    assert "b.png (a.example)" in html
    assert "sig=1" not in html
    assert plain == answer.text
    assert html.count("data:") == 2
    assert len(html) < 6_000


def test_without_images_nothing_is_added(simulated):
    for images in (None, [], (), iter([])):
        answer = simulated.ask("Hello!", images=images)
        assert answer.messages[0]["content"] == "Hello!"
        assert "amber-images" not in shown(answer)["text/html"]


def test_confidential_pictures_stay_out_of_what_is_kept(simulated):
    answer = simulated.ask("Which colour?", images=[ORANGE, image_part(WIDE)], thumbnails=False)
    html = shown(answer)["text/html"]
    assert "<img" not in html
    assert "base64" not in html
    assert "320 × 180" in html
    assert [one.thumbnail for one in answer._images] == [b"", b""]
    assert image_part(WIDE).sent.thumbnail  # the part of the user's keeps its own


def test_images_join_a_message_of_the_users(simulated):
    earlier = {"role": "user", "content": "Look."}
    said = {"role": "assistant", "content": "I look."}
    for content in ("Which colour?", [{"type": "text", "text": "Which colour?"}]):
        last = {"role": "user", "content": content, "name": "ada"}
        answer = simulated.ask([earlier, said, last], images=ORANGE)
        assert answer.messages[:2] == [earlier, said]
        assert answer.messages[2]["name"] == "ada"
        assert [part["type"] for part in answer.messages[2]["content"]] == ["text", "image_url"]
        assert last["content"] == content
    with pytest.raises(ValueError, match="the last message must be one"):
        simulated.ask([earlier, said], images=ORANGE)


def test_what_follows_has_the_image_in_the_conversation_and_no_strip(simulated):
    answer = simulated.ask("Which colour?", images=ORANGE)
    after = answer.ask("And now?")
    assert after.messages[0] == answer.messages[0]
    assert "amber-images" not in shown(after)["text/html"]
    again = answer.ask("And this?", images=WIDE)
    assert "4096 × 600" in shown(again)["text/html"]
    assert shown(again)["text/html"].count("<img") == 1


def test_async_too(simulated):
    answer = asyncio.run(simulated.ask_async("Which colour?", images=ORANGE, thumbnails=False))
    assert "mostly orange" in answer.text
    assert "320 × 180" in shown(answer)["text/html"]
    with pytest.raises(ImageError):
        asyncio.run(simulated.ask_async("Which colour?", images=b""))


def test_an_answer_with_images_pickles(simulated):
    answer = simulated.ask("Which colour?", images=ORANGE)
    assert shown(pickle.loads(pickle.dumps(answer))) == shown(answer)


def test_a_part_is_for_the_sdk_and_for_json(amber):
    part = image_part(ORANGE, detail="low")
    content = [{"type": "text", "text": "Which colour?"}, part]
    completion = amber.openai.chat.completions.create(
        model="azure/gpt-5.4", messages=[{"role": "user", "content": content}]
    )
    assert "mostly orange" in completion.choices[0].message.content
    assert json.loads(json.dumps(part)) == part
    assert image_part(part) is part
    assert image_part(part, max_side_px=32).sent.size == (32, 18)


def test_a_part_shows_itself_small():
    part = image_part(WIDE)
    assert repr(part) == "ImagePart('image', 2048 × 300 PNG)"
    bundle = part._repr_mimebundle_()
    assert bundle["text/plain"] == repr(part)
    assert len(bundle["text/html"]) < 3_000


def test_it_is_recorded_by_its_hash_and_replayed(gateway, tmp_path):
    tape = tmp_path / "tape.jsonl"
    options = {"cassette": tape, "base_url": gateway.base_url, "api_key": "ambrs-exampletoken"}
    recorded = Amber(mode="record", **options).ask("Which colour?", images=[ORANGE, WIDE])
    assert base64.b64encode(b"\x89PNG")[:5].decode() not in tape.read_text()
    replaying = Amber(mode="replay", cassette=tape)
    assert replaying.ask("Which colour?", images=[ORANGE, WIDE]).text == recorded.text
    stranger = Image.new("RGB", (320, 180), "#f28c29")
    with pytest.raises(CassetteMiss):
        replaying.ask("Which colour?", images=[stranger, WIDE])


def test_a_script_without_images_loads_no_pillow(elsewhere):
    code = (
        "import os, sys; os.environ.update(AMBER_MODE='replay', AMBER_CASSETTE='t.jsonl')\n"
        "open('t.jsonl', 'w').write('{\"amber_cassette\": 1}\\n')\n"
        "from amber_nb import Amber\n"
        "try: Amber().ask('Hello!')\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print([name for name in ('PIL', 'numpy', 'matplotlib', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "CassetteMiss\n[]\n"


def test_an_image_loads_neither_matplotlib_nor_pandas_nor_a_widget():
    code = (
        "import sys; from PIL import Image; from amber_nb import image_part; image_part(Image.new('RGB', (9, 9)))\n"
        "print([n for n in ('matplotlib', 'pandas', 'IPython', 'anywidget', 'openai', 'httpx2') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_too_large_a_request_says_how_to_shrink_it():
    error = RuntimeError("Request Entity Too Large")
    error.status_code = 413
    annotate(error, base_url="https://a.example/v1", key=None)
    assert "image_part(…, max_side_px=1024)" in error.__notes__[0]


def test_an_input_gives_its_images(simulated):
    photos = ImageInput([ORANGE, WIDE])
    assert repr(photos) == "ImageInput('image', 'image')"
    assert [part.sent.size for part in photos.images] == [(320, 180), (2_048, 300)]
    answer = simulated.ask("Which colours?", images=photos)
    assert answer.text.count("pixels") == 2
    assert simulated.ask("Which colours?", images=[photos, ORANGE]).text.count("pixels") == 3
    with pytest.raises(ImageError, match="holds 2 images, not one"):
        image_part(photos)
    assert image_part(ImageInput(ORANGE)).sent.size == (320, 180)


def test_an_empty_input_is_told(simulated):
    for images in (ImageInput(), [ORANGE, ImageInput()]):
        with pytest.raises(ImageError, match="holds no image yet"):
            simulated.ask("Which colours?", images=images)


def test_an_input_has_its_limits():
    with pytest.raises(ImageError, match=r"ImageInput\(most=3\)"):
        ImageInput([ORANGE] * 3, most=2)
    small = ImageInput(ORANGE, max_side_px=32, detail="low")
    assert small.images[0].sent.size == (32, 18)
    assert small.images[0]["image_url"]["detail"] == "low"


def test_where_nobody_can_choose_it_is_a_strip(capsys):
    photos = ImageInput([ORANGE], thumbnails=False)
    photos._ipython_display_()
    assert capsys.readouterr().out == "ImageInput('image')\n"
    assert "<img" not in photos._repr_mimebundle_()["text/html"]
    assert "320 × 180" in photos._repr_mimebundle_()["text/html"]
    assert "No image yet" in ImageInput()._repr_mimebundle_()["text/html"]


def test_the_pictures_of_a_confidential_question_leave_the_inputs_strip_too():
    photos = ImageInput([ORANGE])
    photos.mark_used(thumbnails=False)
    assert collect_images(photos).parts[0].sent.thumbnail == b""
    assert "<img" not in photos._repr_mimebundle_()["text/html"]
