"""Text templates: what they see, and what they cannot do."""

from __future__ import annotations

import os
import time

import pytest

from regenstore.errors import InvalidInput
from regenstore.export.sidecar import syntax, writers
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.library import FOLDER, Library
from regenstore.export.sidecar.writer import Options, Row
from tests.export.clips import HOSTILE, clip, filled

pytest.importorskip("jinja2", reason="Jinja2 is not installed (extra: templates)")


def render(text, *clips, writer="text", escape="none", name="{stem}.txt"):
    each = writers.find(writer)
    options = Options(name, settings={"text": text, "escape": escape})
    (file,) = each.render([made if not hasattr(made, "medium") else filled(made) for made in clips], options)
    assert not file.problems
    return file.data.decode()


def test_the_context_is_there_as_tables():
    made = clip(rate="30000/1001", timecode="00:59:59;28", columns={"blur": [1.5, float("nan")] * 48})
    text = "{{ gen.seed }}|{{ video.rate }}|{{ video.rate|decimal(3) }}|{{ timecode.start }}|{{ frames.blur[1] }}|"
    text += "{{ gen.params.loras }}|{{ about.tags[0] }}|{{ store.digest }}|{{ media_path }}"
    assert render(text, made).split("|")[:5] == [
        "1234567890123456789012",
        "30000/1001",
        "29.970",
        "00:59:59;28",
        "None",
    ]


def test_what_a_clip_lacks_is_told_with_its_line_and_stops_nothing():
    both = [clip(about={"shot": "s1"}), clip(name="b/second.mp4", still=True)]
    text = "{% for c in clips %}\n{{ c.about.shot }}|{{ c.timecode.start }}|{{ c.video.rate|decimal(3) }}"
    text += "{% if c.gen.guidance is none and not c.about.other and c.about.other != 'x' %}|none{% endif %}"
    text += "{{ c.gen.params.cfg|js }}{% for each in c.about.people %}{{ each }}{% endfor %};{% endfor %}"
    each = writers.find("batch-text")
    options = Options("list.txt", settings={"text": text})
    (file,) = each.render([filled(made) for made in both], options)
    assert file.data == b"\ns1||24.000|nonenull;\n|||nonenull;"
    assert "line 2: b/second.mp4 has no about.shot; nothing is written for it" in file.warnings
    assert "line 2: shots/gen_0001.mp4, b/second.mp4 has no timecode.start; nothing is written for it" in file.warnings
    assert not any("about.other" in each or "gen.guidance" in each for each in file.warnings)


def test_mapped_fields_and_batches():
    rows = filled(clip(), ("Title", "medium.stem"), Row("Gone", "gen.sampler", None, "missing"))
    assert render("{{ fields.Title }} {{ fields|length }}", rows) == "gen_0001 1"
    both = [clip(), clip(name="b/second.mp4", rate="25")]
    text = "{% for c in clips %}{{ c.medium.name }},{{ c.video.rate }};{% endfor %}"
    assert render(text, *both, writer="batch-text", name="list.txt") == "gen_0001.mp4,24;second.mp4,25;"


@pytest.mark.parametrize("escape", ["none", "xml"])
def test_a_hostile_prompt_is_text_and_nothing_else(escape):
    from xml.etree import ElementTree

    made = clip(prompt=HOSTILE)
    if escape == "none":
        assert render("{{ gen.prompt }}", made) == HOSTILE
        return
    read = ElementTree.fromstring(
        render("<a b='{{ gen.prompt }}'>{{ gen.prompt }}</a>", made, escape="xml", name="{stem}.xml")
    )
    assert "[python {import os; os.system('touch /tmp/owned')}]" in read.text
    assert "\ufffd" in read.text
    assert "<!-- -->" in read.attrib["b"]
    assert not os.path.exists("/tmp/owned")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ gen.update(x=1) }}",
        "{{ gen.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ (gen|attr('__class__')) }}",
        "{% include '/etc/passwd' %}",
        "{% extends 'a' %}",
        "{% import 'os' as os %}",
        "{{ cycler }}",
        "{{ lipsum() }}",
        "{{ range(10) }}",
        "{{ nothing }}",
        "{{ gen.nothing }}",
        "{% for %}",
        "{{ 'a' * 200000000 }}",
        "{% for i in 'a'*2000 %}{{ 'b'*100000 }}{% endfor %}",
        "{{ 9**9**9**9**9 }}",
        "{{ '%999999999d'|format(1) }}",
    ],
)
def test_what_a_template_must_not_do_fails_in_words(text):
    before = time.monotonic()
    with pytest.raises(InvalidInput, match="text template failed") as caught:
        render(text, clip())
    assert caught.value.kind == "bad-template"
    assert "Traceback" not in caught.value.message
    assert time.monotonic() - before < 30


def test_an_endless_template_is_stopped():
    loop = "{% for i in 'a'*30000 %}{% for j in 'a'*30000 %}{% endfor %}{% endfor %}"
    with pytest.raises(InvalidInput, match=r"limits on time|did not finish"):
        render(loop, clip())


def test_a_template_lies_beside_its_toml(tmp_path):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "shot.j2").write_text("{{ gen.seed }}\n")
    head = 'schema = "regenstore-sidecar-template/1"\n[output]\nwriter = "text"\nfile = "{stem}.txt"\n'
    (tmp_path / FOLDER / "shot.toml").write_text(head + 'template = "shot.j2"\n')
    library = Library(str(tmp_path))
    template = library.load("shot")
    (output,) = template.outputs
    made = [fill(template, output, clip())]
    (file,) = writers.find("text").render(made, Options(output.file, settings=output.settings))
    assert file.data == b"1234567890123456789012\n"
    (tmp_path / FOLDER / "shot.toml").write_text(head + 'template = "../../etc/passwd"\n')
    assert "no such file" in library.problems("shot")[0]


WHOLE = {
    "a.xml": "<!DOCTYPE a><a/>",
    "b.xml": '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://nowhere.invalid/a.dtd"><plist/>',
    "a.json": "{}",
    "a.txt": "{",
    "a.nk": '# it\'s {\nRead {\n file "/a b"\n label "a \\{ b"\n}\npush $N\nset N "[stack {0]"\n',
    "a.jsx": "// it's\nvar a = [/['\"(]/g, \"(\", '\\'', {b: 4 / 2 / 1}]; /* it's ( */\n",
}
BROKEN = {
    "a.xml": ("<a>", "not valid XML"),
    "b.xml": ('<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>', "declares entities"),
    "c.xml": ('<!DOCTYPE a SYSTEM "file:///etc/hostname"><a>&x;</a>', "declares entities"),
    "d.xml": ('<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]><a/>', "declares entities"),
    "e.xml": ("<!DOCTYPE a [<!ELEMENT a ANY>]><a/>", "its own document type"),
    "f.xml": ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><a/>', "declares entities"),
    "a.json": ("{", "not well-formed"),
    "a.mgjson": ("{'a': 1}", "not well-formed"),
    "a.nk": ('Read {\n label "a { b"\n}\n', "line 1: unclosed brace"),
    "b.nk": ('Read {\n label "a } b"\n}\n', "line 3: unmatched closing brace"),
    "a.jsx": ('var a = "one\ntwo";', 'line 1: the quote " is not closed'),
    "b.jsx": ("f(a];", "line 1: ] does not close"),
    "c.jsx": ("\nf(a, [1];", "line 2"),
    "a.js": ("a /* b", "a comment is not closed"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_whole_passes(name):
    assert syntax.problems(WHOLE[name].encode(), name) == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_formats_syntax_is_told(name):
    text, said = BROKEN[name]
    encoding = "utf-16" if "UTF-16" in text else "utf-8"
    assert said in "; ".join(syntax.problems(text.encode(encoding), name))


def test_a_prompt_that_breaks_a_script_is_told_of_until_it_is_filtered():
    def problems(text: str, name: str) -> tuple[str, ...]:
        made = filled(clip(prompt="a { brace\nand a second line"))
        (file,) = writers.find("text").render([made], Options(name, settings={"text": text}))
        return file.problems

    assert "filter tcl" in problems('Read {\n label "{{ gen.prompt }}"\n}\n', "a.nk")[0]
    assert not problems('Read {\n label "{{ gen.prompt|tcl }}"\n}\n', "a.nk")
    assert "filter js" in problems('var a = "{{ gen.prompt }}";\n', "a.jsx")[0]
    assert not problems("var a = {{ gen.prompt|js }};\n", "a.jsx")
