"""Small programs that mean huge ones: one error each, soon."""

from types_harness import errors

DOUBLINGS = 40


def test_type_that_doubles_forty_times_is_one_error() -> None:
    structs = [f"struct s{i} {{ s{i - 1} a; s{i - 1} b; }}" for i in range(1, DOUBLINGS)]
    found = errors(top="struct s0 { bit<8> x; }" + "".join(structs))
    assert [d.message for d in found] == [
        "this type has more than 70000 fields, those inside its parts counted"
    ]


def test_tuple_that_doubles_forty_times_is_one_error() -> None:
    names = [f"typedef tuple<t{i - 1}, t{i - 1}> t{i};" for i in range(1, DOUBLINGS)]
    found = errors(top="typedef bit<8> t0;" + "".join(names))
    assert [d.message for d in found] == [
        "this type has more than 70000 fields, those inside its parts counted"
    ]


def test_controls_that_double_forty_times_are_one_error() -> None:
    controls = [
        f"control c{i}(inout bit<8> x) {{ apply {{ c{i - 1}.apply(x); c{i - 1}.apply(x); }} }}"
        for i in range(1, DOUBLINGS)
    ]
    top = "control c0(inout bit<8> x) { apply { x = 1; } }" + "".join(controls)
    found = errors(f"c{DOUBLINGS - 1}.apply(meta.a);", top=top)
    assert [d.message for d in found] == ["the program has more than 5000 instances of controls and parsers"]
