"""The model card of an export: front matter by the Hub's conventions, and what people read."""

import re
from collections.abc import Iterator, Mapping, Sequence

from huggingface_hub.repocard_data import EvalResult, ModelCardData

from lineage.artifacts import Release, Student
from lineage.export.licenses import License
from lineage.export.origin import invocation
from lineage.export.subject import NOT_RECORDED, Subject

STUDENT_TAGS = ["mopd", "on-policy-distillation", "distillation"]
_NOT_DOMAINS = {"overall", "paired", "matrix", "responses", "settings", "left_out"}
_NOT_METHODS = {"normalized"}
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")


def card_of(subject: Subject, license: License) -> str:
    """Return the README.md of an exported model."""
    return f"---\n{_front_matter(subject, license)}\n---\n\n{_body(subject, license)}"


def own_method(subject: Subject) -> str:
    """Return what the scorecard calls the model itself."""
    return "student" if isinstance(subject.manifest, Student) else "teacher"


def domains_of(subject: Subject) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores by domain and method: each a mean with low, high and n."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for domain, methods in subject.scores.items():
        if domain in _NOT_DOMAINS or not isinstance(methods, dict):
            continue
        intervals = {
            name: {key: number for key, number in each.items() if isinstance(number, int | float)}
            for name, each in methods.items()
            if name not in _NOT_METHODS and isinstance(each, dict)
        }
        found[domain] = {name: each for name, each in intervals.items() if "mean" in each}
    return found


def left_out_of(subject: Subject) -> dict[str, str]:
    """Return why each control that is missing in the scorecard could not be made, by name."""
    found = subject.scores.get("left_out")
    return {name: str(why) for name, why in found.items()} if isinstance(found, dict) else {}


def _front_matter(subject: Subject, license: License) -> str:
    base, kind = subject.hub_base, subject.made.derivation.kind
    relation = "merge" if kind == "merge" else "finetune"
    data = ModelCardData(
        base_model=base or None,
        base_model_relation=relation if base and kind != "base" else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        license=license.id,
        license_name=license.name or None,
        tags=_tags(subject),
        model_name=subject.title,
        eval_results=list(_results(subject)) or None,
    )
    return data.to_yaml().strip()


def _tags(subject: Subject) -> list[str]:
    if isinstance(subject.manifest, Student):
        return STUDENT_TAGS
    if isinstance(subject.manifest, Release):
        return ["teacher", subject.manifest.kind]
    return [subject.made.derivation.kind]


def _results(subject: Subject) -> Iterator[EvalResult]:
    sampling = subject.scores.get("settings")
    evaluations = {named.release.domain: named.release.evaluation for named in subject.releases}
    for domain, methods in domains_of(subject).items():
        own = methods.get(own_method(subject))
        if own is None:
            continue
        held_out = evaluations.get(domain)
        yield EvalResult(
            task_type="text-generation",
            dataset_type="held-out-prompts",
            dataset_name=f"{domain} (held-out prompts)",
            dataset_config=domain,
            dataset_revision=held_out.digest if held_out else None,
            metric_type="mean_score",
            metric_name="mean score",
            metric_value=own["mean"],
            metric_args={"interval_95": [own["low"], own["high"]], "prompts": own["n"]}
            | (sampling if isinstance(sampling, dict) else {}),
        )


def _body(subject: Subject, license: License) -> str:
    sections = [
        f"# {_plain(subject.title)}",
        _made_of(subject),
        *_warnings(subject),
        *_teachers(subject),
        *_scores(subject),
        _license(license),
        _provenance(subject),
        _use(subject),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _made_of(subject: Subject) -> str:
    base = subject.base
    came = f"The base is {_base(subject)}." if base else f"The base is {NOT_RECORDED}."
    if isinstance(subject.manifest, Student):
        domains = ", ".join(share.domain for share in subject.manifest.teachers)
        return (
            f"One student of {len(subject.manifest.teachers)} teachers ({_plain(domains)}), made "
            f"by multi-teacher on-policy distillation (MOPD). {came} Weights descend from the base "
            "alone: teachers graded what the student wrote."
        )
    if isinstance(subject.manifest, Release):
        return (
            f"The teacher of the domain {_plain(subject.manifest.domain)}, released by "
            f"{_plain(subject.manifest.owner)}. {came}"
        )
    return f"A checkpoint made by a step of kind `{subject.made.derivation.kind}`. {came}"


def _base(subject: Subject) -> str:
    assert subject.base is not None
    digest = f"`{subject.base.attestation.output}`"
    if subject.hub_base:
        return f"[{subject.hub_base}](https://huggingface.co/{subject.hub_base}), {digest}"
    if subject.brought_base is None:
        return f"a model trained from scratch, {digest}"
    return f"a model from a local folder, {digest}"


def _warnings(subject: Subject) -> list[str]:
    return [f"> **Recalled ancestor**: {_plain(what)}" for what in subject.recalled]


def _teachers(subject: Subject) -> list[str]:
    if not isinstance(subject.manifest, Student):
        return []
    total = sum(share.tokens_routed for share in subject.manifest.teachers)
    known = {named.digest: named.release for named in subject.releases}
    rows = []
    for share in subject.manifest.teachers:
        release = known.get(share.release)
        owner, terms = (release.owner, release.license) if release else (NOT_RECORDED,) * 2
        routed = f"{share.tokens_routed / total:.1%}" if total else NOT_RECORDED
        tokens = f"{share.tokens_routed:,}"
        rows.append([share.reference, share.domain, owner, terms, f"{share.weight:g}"])
        rows[-1] += [tokens, routed]
    head = ["teacher", "domain", "owner", "license", "share of its domain", "tokens", "of all"]
    note = "Tokens are the response tokens of the student that each teacher scored."
    return ["## Teachers", _table(head, rows), note]


def _scores(subject: Subject) -> list[str]:
    domains = domains_of(subject)
    if not domains:
        return ["## Evaluation", f"Scores are {NOT_RECORDED}."]
    methods = list(dict.fromkeys(name for each in domains.values() for name in each))
    rows = [
        [domain, *(_interval(each.get(method)) for method in methods)]
        for domain, each in domains.items()
    ]
    note = (
        "Mean score on held-out prompts with its 95 % interval and the number of prompts. "
        f"This model is the column `{own_method(subject)}`."
    )
    missing = [
        f"Left out of the comparison is {_plain(name)}: {_plain(why)}."
        for name, why in left_out_of(subject).items()
    ]
    return ["## Evaluation", _table(["domain", *methods], rows), note, *missing]


def _interval(score: Mapping[str, float] | None) -> str:
    if not score:
        return NOT_RECORDED
    return f"{score['mean']:.3f} ({score['low']:.3f} to {score['high']:.3f}), {score['n']:g}"


def _license(license: License) -> str:
    rows = [[part.what, part.stated or NOT_RECORDED] for part in license.parts]
    said = f"`{license.id}`" + (f" ({license.name})" if license.name else "")
    found = _table(["part", "license"], rows) if rows else f"Licenses are {NOT_RECORDED}."
    return (
        f"## License\n\n{said}: the strictest license among base, teachers and data. Their owners "
        f"stated:\n\n{found}"
    )


def _provenance(subject: Subject) -> str:
    attestation = subject.made.attestation
    rows = [
        ["checkpoint", subject.checkpoint.digest],
        ["record", subject.record],
        ["commit", attestation.commit or NOT_RECORDED],
        ["source", subject.made.derivation.source or NOT_RECORDED],
        ["image", attestation.image or NOT_RECORDED],
        ["execution", invocation(attestation) or NOT_RECORDED],
        ["finished", attestation.finished or NOT_RECORDED],
    ]
    return f"## Provenance\n\n{_table(['what', 'value'], rows)}"


def _use(subject: Subject) -> str:
    return (
        "## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained(".")\n'
        'tokenizer = AutoTokenizer.from_pretrained(".")\n```'
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text if text == "---" else _plain(text)


def _plain(text: str) -> str:
    """Return text as one line in which Markdown and HTML see no marks."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
