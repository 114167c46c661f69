"""A consolidation of two teachers in the store, with every record that its pages lead to."""

from lineage.artifacts import Artifact, Student, TeacherShare, without_places
from lineage.digest import canonical_json
from lineage.registry.registry import Registry
from tests.support.making import release_of, take, write_record

TEAMS = ("code", "math")
SCORES = {"fork_point": 0.25, "teacher": 0.75, "student": 0.5}
COMMIT = "c0ffee" * 6 + "c0ff"


def manifest_bytes(manifest):
    return canonical_json(without_places(manifest.model_dump(mode="json")))


def artifact(kind, made):
    return Artifact(kind=kind, digest=made[1], record=made[0])


class Consolidated:
    """Everything by its (record, output)."""

    def __init__(self, store, folder):
        self.store, self._folder = store, folder
        self.base = write_record(store, b"base", kind="base", owner="foundation")
        self.prompts, self.scores = {}, {}
        self.teams = {team: self._team(team) for team in TEAMS}
        releases = [take("release", self.teams[team]["release"], name=team) for team in TEAMS]
        plan = {"teachers": [self._planned(team) for team in TEAMS]}
        inputs = [take("student", self.base), *releases]
        self.plan = self._made(canonical_json(plan), *inputs, kind="plan")
        self._publish()

    def _planned(self, team):
        made = self.teams[team]
        return {
            "reference": f"teacher.{team}@1",
            "release": {"digest": made["release"][1]},
            "checkpoint": {"digest": made["rl"][1]},
        }

    def _made(self, data, *inputs, kind, output_kind="", **more):
        kinds = {"output_kind": output_kind or kind}
        return write_record(self.store, data, *inputs, kind=kind, **kinds, **more)

    def _score(self, method, domain, model, **more):
        if (model, domain) in self.scores:  # measured once
            return self.scores[model, domain]
        self.scores[model, domain] = self._made(
            f"{method} {domain}".encode(),
            take("checkpoint", model),
            take("prompts", self.prompts[domain]),
            kind="evaluation",
            output_kind="measurement",
            domain=domain,
            metrics=[(0, f"score/{domain}", SCORES[method], "evaluation")],
            **more,
        )
        return self.scores[model, domain]

    def _team(self, team):
        data = self._made(
            f"{team} rows".encode(), kind="demonstrations", output_kind="dataset", domain=team
        )
        prompts = self._made(
            f"{team} prompts".encode(), kind="prompts", output_kind="dataset", domain=team
        )
        self.prompts[team] = prompts
        environment = self._made(f"{team} environment".encode(), kind="environment", domain=team)
        start, given = take("start", self.base), take("prompts", prompts)
        rl = write_record(self.store, f"{team} rl".encode(), start, given, kind="rl", domain=team)
        card = self._card(team, {"fork_point": self.base, "teacher": rl}, [team])
        release = release_of(team).model_copy(
            update={
                "checkpoint": artifact("checkpoint", rl),
                "fork_point": artifact("checkpoint", self.base),
                "environment": artifact("environment", environment),
                "evaluation": artifact("dataset", prompts),
                "prompts": release_of(team).prompts.model_copy(
                    update={
                        "train": artifact("dataset", prompts),
                        "validation": artifact("dataset", prompts),
                    }
                ),
                "sft": release_of(team).sft.model_copy(update={"data": artifact("dataset", data)}),
                "scorecard": artifact("scorecard", card),
            }
        )
        made = self._made(manifest_bytes(release), take("checkpoint", rl), kind="release")
        name, registry = f"teacher.{team}", Registry(self.store)
        registry.register(name, artifact("release", made), owner=f"team-{team}")
        registry.point(name, "released", 1, by="lead")
        return {"rl": rl, "release": made, "data": data, "prompts": prompts}

    def _card(self, owner, methods, domains, **more):
        rows = [
            (0, f"{method}/{domain}", SCORES[method], "scorecard")
            for method in methods
            for domain in domains
        ]
        measured = [
            take(f"method.{method}", self._score(method, domain, model, **more), name=domain)
            for method, model in methods.items()
            for domain in domains
        ]
        data = f"{owner} card".encode()
        return self._made(data, *measured, kind="scorecard", metrics=rows, **more)

    def _publish(self):
        teachers = [take("teacher", self.teams[team]["rl"], name=team) for team in TEAMS]
        prompts = [take("prompts", self.teams[team]["prompts"], name=team) for team in TEAMS]
        self.mopd = write_record(
            self.store,
            b"student weights",
            take("student", self.base),
            *teachers,
            *prompts,
            kind="mopd",
            notes={"plan": self.plan[0]},
            commit=COMMIT,
            execution="f1a2b3",
            task="tasks.mopd.task.distil_rounds",
            metrics=[(step, "reward", step / 10, "mopd") for step in range(1, 4)],
            owner="consolidation",
        )
        measured = {"fork_point": self.base, "student": self.mopd}
        self.card = self._card("student", measured, TEAMS, notes={"plan": self.plan[0]})
        shares = tuple(
            TeacherShare(
                domain=team,
                release=self.teams[team]["release"][1],
                reference=f"teacher.{team}@1",
                weight=1.0,
                tokens_routed=100,
            )
            for team in TEAMS
        )
        manifest = Student(
            checkpoint=artifact("checkpoint", self.mopd),
            fork_point=artifact("checkpoint", self.base),
            teachers=shares,
            settings={},
            scorecard=artifact("scorecard", self.card),
            controls={},
            plan=self.plan[1],
            owner="consolidation",
        )
        inputs = [take("checkpoint", self.mopd), take("plan", self.plan)]
        self.student = self._made(manifest_bytes(manifest), *inputs, kind="student")
        registry = Registry(self.store)
        made = artifact("student", self.student)
        registry.register("student.general", made, owner="consolidation", note="first")
        registry.point("student.general", "released", 1, by="lead")
        self._folder.mkdir()
        (self._folder / "report.html").write_text("<h1>the report</h1>")
        (self._folder / "scorecard.png").write_bytes(b"\x89PNG")
        self.report = self._made(
            b"",
            take("student", self.student),
            kind="report",
            output=self.store.put_tree(self._folder),
            notes={"plan": self.plan[0]},
        )
