"""XMP packets as flat properties, with hostile ones."""

from __future__ import annotations

from regenstore.capture.carriers.xmp import properties

HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="any">'
RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:o="urn:own" xmlns:e="{}">'
RDF = RDF.format("http://ns.adobe.com/exif/1.0/")


def packet(inside: str) -> str:
    return f'{HEAD}{RDF}{inside}</rdf:RDF></x:xmpmeta>\n   <?xpacket end="w"?>\0\0'


def test_properties():
    text = packet(
        '<rdf:Description rdf:about="" xmlns:tool="http://ns.adobe.com/xap/1.0/" tool:CreatorTool="Draw Things">'
        "<e:UserComment><rdf:Alt>"
        '<rdf:li xml:lang="x-default">{"c": "a &amp; b"}</rdf:li><rdf:li xml:lang="de">anders</rdf:li>'
        "</rdf:Alt></e:UserComment>"
        "<o:one><rdf:Bag><rdf:li>alone</rdf:li></rdf:Bag></o:one>"
        "<o:many><rdf:Seq><rdf:li>1</rdf:li><rdf:li>2</rdf:li></rdf:Seq></o:many>"
        '<o:made rdf:parseType="Resource"><o:by>A</o:by></o:made>'
        '<o:steps><rdf:Seq><rdf:li o:what="x"/><rdf:li o:what="y"/></rdf:Seq></o:steps>'
        '<o:kind rdf:resource="http://cv.iptc.org/x"/><o:empty/>'
        "</rdf:Description><rdf:Description><o:second>ü</o:second></rdf:Description>"
    )
    assert properties(text) == {
        "xmp:CreatorTool": "Draw Things",
        "exif:UserComment": '{"c": "a & b"}',
        "o:one": ["alone"],
        "o:many": ["1", "2"],
        "o:made/o:by": "A",
        "o:steps/o:what": ["x", "y"],
        "o:kind": "http://cv.iptc.org/x",
        "o:second": "ü",
    }


def test_packets_that_are_refused_or_broken():
    before = "<rdf:Description><o:a>1</o:a>"
    for rest in ("", "<o:b>", "<o:b>2", "&nbsp;", "<" * 9, f"<o:b>{'<o:c>' * 100}"):
        assert properties(f"{HEAD}{RDF}{before}{rest}") == {"o:a": "1"}
    entities = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    assert properties(entities + packet(before.replace("1", "&b;") + "</rdf:Description>")) == {}
    external = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'
    assert properties(external + packet(before + "</rdf:Description>")) == {}
    assert properties("") == properties("no XML") == properties("\0" * 99) == properties("<a>text</a>") == {}
    many = properties(packet("<rdf:Description>" + "".join(f"<o:a{n}>1</o:a{n}>" for n in range(30_000))))
    assert 4000 < len(many) <= 4096
