"""The picture: well formed, escaped, folded, and the same each time."""

import itertools
import re
import subprocess
from html import unescape
from xml.etree import ElementTree

import pytest

from lineage.artifacts import Artifact
from lineage.graph.graph import Edge, Graph, Lineage, Node
from lineage.registry.registry import Registry
from lineage.view.edges import curve, labels
from lineage.view.fold import MOST_BOXES, fold, models_only, nearest_boxes
from lineage.view.layout import Sizes, place
from lineage.view.picture import draw, draw_narrow, figure, page
from tests.support.making import take, write_record

EVIL = "</text><script>alert(1)</script>&\"'\x00\u202e"
RUNGS = 50


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Graph:
    """Base, fork point, four climbs of 50 rungs, releases, a student: 200 checkpoints and more."""
    from lineage.store.store import FolderStore

    folder = tmp_path_factory.mktemp("family")
    store = FolderStore(folder / "store")
    base = write_record(store, b"base", kind="base")
    fork = write_record(store, b"fork", take("base", base), owner="foundation")
    teachers = []
    for domain in ("math", "code", "agent", "instruct"):
        rungs = [
            write_record(
                store,
                f"{domain} {step}".encode(),
                take("start", fork),
                kind="rl",
                domain=domain,
                step=step,
                owner=EVIL,
            )
            for step in range(RUNGS)
        ]
        inputs = [take("ladder", rung) for rung in rungs] + [take("fork_point", fork)]
        made = write_record(
            store, f"release {domain}".encode(), *inputs, kind="release", output_kind="release"
        )
        artifact = Artifact(kind="release", digest=made[1], record=made[0])
        Registry(store).register(f"teacher.{domain}", artifact, owner="team")
        teachers.append(take("teacher", made, name=domain, weight=0.25))
    Registry(store).recall("teacher.code", 1, by="lead", reason="leak")
    notes = {"domain": EVIL, "score": 0.5}
    start = take("student", fork)
    data = write_record(store, b"rows", kind="data", output_kind="dataset")
    student = write_record(
        store, b"student", start, *teachers, take("prompts", data), kind="mopd", notes=notes
    )
    return Lineage(store, folder / "index.db").graph(student[0])


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.medium
def test_two_hundred_checkpoints_become_eleven_boxes(graph):
    assert len(graph.nodes) == 2 + 4 * (RUNGS + 1) + 2
    boxes, lines = fold(models_only(graph))
    assert len(boxes) == 2 + 4 + 4 + 1  # the data set is no model
    assert [len(box.rungs) for box in boxes if box.rungs] == [RUNGS] * 4
    # base-fork, fork-ladder, ladder-release, release-student, fork-student; not fork-release
    assert len(lines) == 1 + 4 + 4 + 4 + 1
    order = [box.id for box in boxes]
    assert all(order.index(line.parent) < order.index(line.child) for line in lines)


@pytest.mark.parametrize("drawing", [draw, draw_narrow])
def test_a_drawing_is_well_formed_and_says_what_matters(graph, drawing):
    said = " | ".join(texts(drawing(graph)))
    for expected in ("teacher.math@1", "50 rungs, step 0 to 49", "foundation", "RECALLED", "25%"):
        assert expected in said
    assert drawing(graph) == drawing(graph)


def test_nothing_that_people_wrote_becomes_markup(graph):
    html = page(graph, EVIL)
    assert "<script" not in html
    assert "\x00" not in html
    assert "\u202e" not in html
    assert not re.search(r"\son\w+=|javascript:|\sstyle=", html)
    assert "script-src" not in html
    assert "default-src 'none'" in unescape(html)
    assert not re.search(r"(src|href)=", html)


def test_a_small_graph_needs_no_fold_and_an_empty_one_no_boxes(store, tmp_path):
    one = write_record(store, b"base", kind="base")
    graph = Lineage(store, tmp_path / "index.db").graph(one[0])
    assert texts(draw(graph))[0] == "base"
    assert texts(draw(Graph((), ()))) == []
    assert figure(Graph((), ())).count("<svg") == 2


def test_boxes_do_not_overlap_and_lines_go_down():
    boxes = ["a", "b", "c", "d", "e", "f"]
    lines = [("a", "b"), ("a", "c"), ("a", "d"), ("a", "f"), ("b", "e"), ("d", "e"), ("e", "f")]
    sizes = Sizes()
    placed = place(boxes, lines, sizes)
    for row in {y for _, y in placed.boxes.values()}:
        xs = sorted(x for x, y in placed.boxes.values() if y == row)
        assert all(right - left >= sizes.box_width for left, right in itertools.pairwise(xs))
    for route in placed.lines:
        assert all(upper[1] < lower[1] for upper, lower in itertools.pairwise(route))
    assert min(x for x, _ in placed.boxes.values()) >= sizes.box_width / 2
    assert max(x for x, _ in placed.boxes.values()) + sizes.box_width / 2 <= placed.width


def inside(point, box, sizes):
    return (
        abs(point[0] - box[0]) < sizes.box_width / 2 - 1
        and abs(point[1] - box[1]) < sizes.box_height / 2 - 1
    )


def test_no_line_and_no_label_crosses_a_box_and_every_line_has_a_label(graph):
    boxes, lines = fold(models_only(graph))
    sizes = Sizes()
    placed = place([box.id for box in boxes], [(one.parent, one.child) for one in lines], sizes)
    drawn = list(zip(lines, placed.lines, strict=True))
    for line, route in drawn:
        numbers = [float(n) for n in re.findall(r"[MC ,](-?\d+\.\d)", curve(line, route, sizes))]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        assert len(points) > 4
        assert not [p for p in points for box in placed.boxes.values() if inside(p, box, sizes)]
    said = labels(drawn, sizes)
    assert len(said) == len(lines)
    assert all(text for text, _ in said)
    assert not [p for _, p in said for box in placed.boxes.values() if inside(p, box, sizes)]
    assert {"starts from", "student starts from", "math 25% of tokens"} <= {t for t, _ in said}


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_one_picture_without_a_complaint(graph, tmp_path, width):
    (tmp_path / "page.html").write_text(page(graph, "student"))
    image = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    size = [f"--window-size={width},1200", f"--screenshot={image}"]
    command = ["chromium", *options, *size, (tmp_path / "page.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Content Security Policy" not in result.stderr
    assert image.stat().st_size > 10_000


def organization(rounds: int, teams: int) -> Graph:
    """Rounds of releases from the last student, and a student of each: two boxes a team."""
    nodes, edges = [Node("base", "base", "base", "base", "checkpoint", "team")], []
    student = "base"
    for number in range(rounds):
        made = []
        for team in range(teams):
            rung, release = f"rl {number} {team}", f"release {number} {team}"
            nodes.append(Node(rung, "rl", rung, rung, "checkpoint", f"team {team}"))
            nodes.append(Node(release, "release", release, release, "release", f"team {team}"))
            edges.append(Edge(rung, student, "start", "", student, None))
            edges.append(Edge(release, rung, "checkpoint", "", rung, None))
            made.append(release)
        last, student = student, f"student {number}"
        nodes.append(Node(student, "mopd", student, student, "checkpoint", "all"))
        edges.append(Edge(student, last, "student", "", last, None))
        edges += [Edge(student, release, "teacher", "", release, 0.1) for release in made]
    return Graph(tuple(nodes), tuple(edges), student)


def test_a_large_organization_is_drawn_as_far_as_the_nearest_boxes():
    graph = organization(rounds=20, teams=12)
    near = nearest_boxes(models_only(graph))
    assert len(near.nodes) == MOST_BOXES
    names = {node.record for node in near.nodes}
    assert {graph.focus, "release 19 0", "rl 19 11", "student 18"} <= names
    assert not names & {"base", "student 0"}
    left = len(graph.nodes) - MOST_BOXES
    for picture in (draw(graph), draw_narrow(graph)):
        ElementTree.fromstring(picture)
        assert f"and {left:,} models further back" in unescape(picture)
    small = organization(rounds=3, teams=4)
    assert nearest_boxes(small) == small
    assert "further back" not in draw(small)


def test_the_page_of_a_large_organization_stays_small():
    graph = organization(rounds=100, teams=12)
    written = page(graph, "student")
    assert len(graph.nodes) == 2501
    assert written.count("<tr>") == 1 + 2000
    assert len(written) < 3_000_000
    assert f"{len(graph.nodes)} records" in written


def test_ladders_that_only_fit_one_by_one_are_folded_as_far_as_they_can():
    """Two ladders that each grew on a rung of the other cannot both be one box."""
    nodes = [Node("base", "base", "base", "b", "checkpoint", "x")]
    nodes += [
        Node(f"{team}{step}", "rl", team, f"{team}{step}", "checkpoint", team, step=step)
        for step in range(4)
        for team in "pq"
    ]
    chain = [(f"{team}{step}", f"{team}{step - 1}") for team in "pq" for step in (1, 2, 3)]
    chain += [("p0", "base"), ("q0", "base")]
    crossing = [("p2", "q0"), ("q2", "p0")]
    edges = [Edge(child, parent, "start", "", parent, None) for child, parent in chain + crossing]
    boxes, _ = fold(Graph(tuple(nodes), tuple(edges), ""))
    assert sum(bool(box.rungs) for box in boxes) == 1
    assert len(boxes) == 1 + 1 + 4
