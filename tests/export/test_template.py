"""Templates: what they say, what they inherit, and what is wrong with them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from regenstore.errors import Conflict, InvalidInput, NotFound
from regenstore.export.sidecar import writers
from regenstore.export.sidecar.fill import fill, formatted
from regenstore.export.sidecar.library import FOLDER, Library
from regenstore.export.sidecar.writer import Options, name_for
from tests.export.checks import check
from tests.export.clips import clip

HEAD = 'schema = "regenstore-sidecar-template/1"\n'


@pytest.fixture
def library(tmp_path):
    (tmp_path / FOLDER).mkdir(parents=True)
    return Library(str(tmp_path))


def put(library, name, text):
    with open(library.path(name), "w", encoding="utf-8") as file:
        file.write(HEAD + text)


def rows(template, made):
    return {row.target: row for output in template.outputs for row in fill(template, output, made).rows}


@pytest.mark.parametrize("name", Library.built_in())
def test_every_built_in_template_is_right_and_renders_well(name):
    template = Library(None).load(name)
    assert template.about
    made = [clip(timecode="01:00:00:00"), clip(name="b/gen_0002.mp4", rate="25", audio=True)]
    for output in template.outputs:
        writer = writers.find(output.writer)
        assert writer.name == output.writer
        outputs = {each.writer: each.file for each in template.outputs}
        options = Options(output.file, settings=output.settings, outputs=outputs)
        accepted = [each for each in made if writer.refuses(each, options) is None]
        if writer.scope == "folder" or not accepted:
            continue
        groups = [[each] for each in accepted] if writer.scope == "clip" else [accepted]
        for group in groups:
            given = [fill(template, output, each) for each in group]
            files = writer.render(given, options)
            assert files == writer.render(given, options)
            for file in files:
                assert not file.problems
                assert check(output.writer, file.data, file.name) == []


def test_a_field_of_ones_own_replaces_drops_and_adds(library):
    put(
        library,
        "studio",
        """
        base = "xmp"
        [[field]]
        target = "dc:title"
        source = "gen.seed"
        format = "seed {}"
        [[field]]
        target = "dc:format"
        drop = true
        [[field]]
        target = "regen:face_min"
        source = "metrics.face_confidence.min"
        format = "{:.1f}"
        default = "unknown"
        [[field]]
        target = "xmpDM:projectName"
        value = "Film"
        """,
    )
    template = library.load("studio")
    assert template.bases == ("xmp",)
    found = rows(template, clip())
    assert found["dc:title"].value == "seed 1234567890123456789012"
    assert "dc:format" not in found
    assert (found["regen:face_min"].value, found["regen:face_min"].status) == ("unknown", "defaulted")
    assert found["xmpDM:projectName"].value == "Film"
    assert found["xmpDM:videoFrameRate"].value == Fraction(24)
    measured = rows(template, clip(columns={"face_confidence": [0.91, 0.34] * 48}))
    assert (measured["regen:face_min"].value, measured["regen:face_min"].status) == ("0.3", "ok")


def test_a_template_may_stand_on_the_built_in_one_of_its_name(library):
    put(library, "xmp", 'base = "xmp"\n[[output]]\nwriter = "xmp"\nfile = "meta/{stem}.xmp"\n')
    template = library.load("xmp")
    assert template.outputs[0].file == "meta/{stem}.xmp"
    assert len(template.fields) > 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('base = "xpm"', "did you mean 'xmp'"),
        ('base = "xmp"\nfeild = 1', "did you mean 'field'"),
        ('base = "xmp"\n[[field]]\ntarget = "xmpDM:videoFramerate"\nsource = "video.rate"', "'xmpDM:videoFrameRate'"),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.promt"', "did you mean 'gen.prompt'"),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "prompt"', "did you mean 'gen.prompt'"),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"', "either source or value"),
        ('base = "xmp"\n[[field]]\ntarget = "xmpDM:videoAlphaMode"\nvalue = "strait"', "did you mean 'straight'"),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nwhen_missing = "skipp"', "'skip'"),
        (
            'base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nwhen_missing = "default"',
            "must be used together",
        ),
        (
            'base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nformat = "{.__class__}"',
            "must have one {}",
        ),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nformat = "{:{}}"', "must have one {}"),
        (
            'base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nformat = "{:999999999}"',
            "must have one {}",
        ),
        ('base = "xmp"\n[[field]]\ntarget = "dc:title"\nsource = "gen.seed"\nformat = "{"', "format"),
        ('base = "xmp"\n[[field]]\ntarget = "dc:subject"\nsource = "gen.seed"\noutput = "xmq"', "did you mean 'xmp'"),
        ('base = "xmp"\n[[field]]\ntarget = "regen:x"\ndrop = true', "no inherited field"),
        ('base = "xmp"\nwithout = ["xmp"]', "no [[output]]"),
        ('base = "xmp"\nwithout = ["xml"]', "no output 'xml'"),
        ('[output]\nwriter = "xmpp"\nfile = "{stem}.x"', "did you mean 'xmp'"),
        ('[output]\nwriter = "xmp"\nfile = "../{stem}.xmp"', "not inside"),
        ('[output]\nwriter = "xmp"\nfile = "/etc/{stem}.xmp"', "not inside"),
        ('[output]\nwriter = "xmp"\nfile = ".git/{stem}"', "not inside"),
        ('[output]\nwriter = "xmp"\nfile = "all.xmp"', "must contain"),
        ('[output]\nwriter = "xmp"\nfile = "{stem}.xmp"\nencoding = "latin1"', "'encoding' is not a known setting"),
        ("field = 3", "[[field]] tables"),
        ("]", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_right_word(library, text, expected):
    put(library, "mine", text)
    try:
        found = "\n".join(library.problems("mine"))
    except NotFound as error:
        found = error.message
    assert expected in found


def test_all_that_is_wrong_is_said_at_once(library):
    wrong = '[[field]]\ntarget = "dc:titel"\nsource = "gen.seed"\n' * 3
    put(library, "mine", 'base = "xmp"\n' + wrong)
    assert len(library.problems("mine")) == 3
    with pytest.raises(InvalidInput, match="cannot be used"):
        library.load("mine")


def test_templates_based_on_each_other_are_refused(library):
    put(library, "a", 'base = "b"')
    put(library, "b", 'base = "a"')
    assert "based on each other" in library.problems("a")[0]


def test_a_schema_of_another_version_is_refused(library):
    with open(library.path("old"), "w") as file:
        file.write('schema = "regenstore-sidecar-template/9"\nbase = "xmp"\n')
    assert "first line" in library.problems("old")[0]


def test_what_must_be_there_is_asked_for(library):
    put(
        library,
        "strict",
        'base = "xmp"\n[[field]]\ntarget = "dc:rights"\nsource = "about.rights"\nwhen_missing = "error"\n',
    )
    template = library.load("strict")
    with pytest.raises(InvalidInput, match=r"'dc:rights' is required, but about\.rights is unknown"):
        fill(template, template.outputs[0], clip())
    assert rows(template, clip(about={"rights": "CC0"}))["dc:rights"].value == "CC0"


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (Fraction(24000, 1001), "{:.3f}", "23.976"),
        (Fraction(24000, 1001), "{}", "24000/1001"),
        (0.5, "face min {:.2f}", "face min 0.50"),
        (3.0, "{:d}", "3"),
        (("a", "b"), "[{}]", "[a, b]"),
        ("{evil}", "x {}", "x {evil}"),
        (True, "{}", "true"),
    ],
)
def test_formats(value, form, expected):
    assert formatted(value, form) == expected


def test_a_format_that_does_not_fit_is_told():
    with pytest.raises(InvalidInput, match="does not fit"):
        formatted("word", "{:.2f}")


def test_the_library_makes_lists_and_deletes(library):
    path = library.create("mine", "xmp")
    assert library.problems("mine") == []
    with pytest.raises(Conflict, match="already"):
        library.create("mine", "xmp")
    listed = {each.name: each for each in library.list()}
    assert not listed["mine"].built_in
    assert listed["xmp"].built_in
    assert library.delete("mine") == path
    with pytest.raises(NotFound, match="built in"):
        library.delete("xmp")
    with pytest.raises(InvalidInput, match="not a valid name"):
        library.create("../evil", "xmp")


def test_a_new_template_says_what_its_base_has_whatever_that_is_called(library):
    put(library, "odd", '[[output]]\nid = "a\\nb"\nwriter = "text"\nfile = "{stem} \\u007f.txt"\ntext = ""\n'
        '[[field]]\ntarget = "c\\n[[output]]"\nsource = "gen.prompt"\n')  # fmt: skip
    with open(library.create("mine", "odd"), encoding="utf-8") as file:
        text = file.read()
    assert library.problems("mine") == []
    example = "".join(line.removeprefix("# ") for line in text[text.index("# [[output]]") :].splitlines(True))
    with open(library.path("mine"), "w", encoding="utf-8") as file:
        file.write(
            text.partition("#")[0] + example.replace("A field has", "# A field has").replace("drop = true", "# drop")
        )
    assert library.problems("mine") == []  # what it shows can be used as it stands
    assert library.load("mine").fields[0].target == "c\n[[output]]"


@pytest.mark.parametrize("pattern", ["../{stem}.xmp", "a/../b", "/abs/{stem}", "{stem}/../../x", ".git/hooks/x", ""])
def test_names_stay_in_their_folder(pattern):
    with pytest.raises(InvalidInput):
        name_for(pattern, clip())


def test_a_stem_with_anything_in_it_is_taken_as_it_is():
    assert name_for("{stem}.xmp", clip(name="a/{name} $x [y] ü.mp4")) == "{name} $x [y] ü.xmp"
