"""### 账户注销 · Cancel one person's account, and prove it

**Promise 承诺** (policy 1.4, 11.3): who cancels an account is no longer served, and what we hold about them is deleted or
anonymised, but for what a law keeps, within 15 working days; the reply comes within 30 days.

**How 做法**: give an *opaque account id* (`acct_…`). Before Airflow stores anything, the id is swapped for a case number.
One colleague checks who asks, **another** one decides on a plan that has been rehearsed. Then, in this order and each followed by a proof
that somebody else makes: *restrict*, *plan*, *dispose*, *prove*. The run ends with an interim certificate; backups, recipients and
statutory dates are waited for in data, not here.

**If it stops 若中断**: read the message of the red task: it says what to do next. Every task can be cleared and run again; nothing is
done twice. A run can also be started anew with the number of its case.

Never type a name, phone number, e-mail address or ID number anywhere in Airflow. 请勿在任何输入框填写姓名、手机号、邮箱或证件号码。
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, get_current_context, task, task_group
from quietus_console.asking import Ask
from quietus_console.work import desk, now, person, registration_fields, shelf, step, today

from include.cases import progress, provers, verbs
from include.cases.briefing import briefing
from include.cases.decisions import Method
from include.cases.refusals import EVERYTHING, RefusalGround
from include.model.errors import Refused
from include.model.words import Channel, Ground, Requester

IDENTITY_DAYS = 15
MATCHED, MISMATCHED = "Matched 相符", "Not matched 不相符"
APPROVE, REFUSE = "Approve 批准", "Refuse 拒绝"
CONFIRM, RETURN = "Confirm refusal 确认拒绝", "Return 退回"

FORM = {
    "account_id": Param(
        None,
        type=["null", "string"],
        pattern="^acct_[0-9a-hjkmnp-tv-z]{12}$",
        title="账户编号 Opaque account id",
        description="acct_ 加 12 位字符,取自客服系统;不是手机号、邮箱或证件号。"
        " acct_ and twelve characters, from the support system; never a phone number, e-mail or ID number.",
    ),
    "ground": Param(
        Ground.CANCELLATION.value,
        enum=[g.value for g in Ground],
        title="事由 Ground",
        description="为何删除(政策 1.4、8.3、11.2)。 Why (policy 1.4, 8.3, 11.2).",
    ),
    "channel": Param(
        Channel.APP.value,
        enum=[c.value for c in Channel],
        title="渠道 Channel",
        description="请求从哪里来(政策 12.2)。 How the request came in (policy 12.2).",
    ),
    "requester": Param(
        Requester.SELF.value,
        enum=[r.value for r in Requester],
        title="请求人 Requester",
        description="谁提出请求。 Who asks.",
    ),
    "case": Param(
        None,
        type=["null", "string"],
        pattern=r"^CASE-\d{6,}$",
        title="案件编号 Case number",
        description="仅用于继续已有案件,通常留空。 Only to go on with a case that exists; usually left empty.",
    ),
}


@dag(
    dag_id="account_cancellation",
    schedule=None,
    params=FORM,
    doc_md=__doc__,
    tags=["promise", "PIPL 47"],
    max_active_runs=1000,  # runs that wait for a person hold no slot
    default_args={"owner": "privacy", "retries": 3, "retry_delay": timedelta(seconds=20),
                  "retry_exponential_backoff": 2.0, "max_retry_delay": timedelta(minutes=15)},
    render_template_as_native_obj=False,
)  # fmt: skip
def account_cancellation() -> None:
    @step
    def take_up() -> str:
        """The case that this run is about, and nothing else."""
        conf = get_current_context()["params"]
        if conf.get("account_id"):
            raise Refused(
                "an account id reached Airflow: the intake of this Airflow is not installed",
                about="account_cancellation",
                next_step="load the plugin quietus_console, then trigger again",
            )
        return progress.taken_up(desk(), conf.get("case"))

    case = take_up()

    # --- who asks -----------------------------------------------------------------------------

    @task_group
    def verify_identity() -> object:
        ask = Ask(
            task_id="ask",
            case_of="take_up",
            answered=lambda number: progress.identified(desk(), number),
            subject="{{ ti.xcom_pull(task_ids='take_up') }}: 请核实身份 · check who asks",
            body="Compare only what registration collected. The answer records the *method* and *which* fields were "
            "compared, never what they said. 只核对注册时收集的信息;只记录方式与所核对的项目,不记录内容。",
            options=[MATCHED, MISMATCHED],
            params={
                "method": Param(
                    Method.SIGNED_IN_SESSION.value, enum=[m.value for m in Method], title="方式 Method"
                ),
                "fields": Param(
                    [], type="array", title="核对项目 Fields compared",
                    items={"type": "string", "enum": list(registration_fields())},
                    examples=list(registration_fields()), values_display=registration_fields(),
                ),
            },
            response_timeout=timedelta(days=IDENTITY_DAYS),
        )  # fmt: skip

        @step
        def request(case_no: str) -> None:
            """The clock of 15 days starts."""
            verbs.ask_identity_if_due(desk(), case_no, **now())

        @step
        def record(case_no: str, answer: dict) -> str:
            """An unexplained tick is not accepted; without a match the case fails here."""
            if "known" in answer:
                return answer["known"]
            given = answer["params_input"]
            outcome = "matched" if answer["chosen_options"] == [MATCHED] else "mismatched"
            state = verbs.record_identity(
                desk(), case_no, outcome=outcome, method=given.get("method") or "",
                fields=given.get("fields") or (), as_of=today(), actor=person(answer, "identity"),
            ).state  # fmt: skip
            if outcome != "matched":
                raise Refused(
                    "identity was not confirmed", about=case_no,
                    next_step="nothing was changed; with new proof, trigger again with this case number",
                )  # fmt: skip
            return state.value

        request(case) >> ask
        return record(case, ask.output)

    verified = verify_identity()

    # --- what is to happen, and who says so -----------------------------------------------------

    @step(pool="disposals")
    def rehearse(case_no: str) -> str:
        """What would go and what would stay, counted without touching anything."""
        at = desk()
        plan = progress.acted_on(at, case_no) or verbs.rehearse(at, case_no, **now())
        return briefing(plan, at.catalogue)

    rehearsed = rehearse(case)
    verified >> rehearsed

    @task_group
    def decide() -> tuple[object, object]:
        ask = Ask(
            task_id="ask",
            case_of="take_up",
            answered=lambda number: progress.decided(desk(), number),
            subject="{{ ti.xcom_pull(task_ids='take_up') }}: 请审批 · decide (another person than the requester)",
            body="{{ ti.xcom_pull(task_ids='rehearse') }}",
            options=[APPROVE, REFUSE],
            params={
                "refusal_ground": Param(
                    None, type=["null", "string"], enum=[None, *(g.value for g in RefusalGround)],
                    title="拒绝依据 Ground of a refusal (policy 11.4)",
                    description="技术困难不是拒绝理由。 Technical difficulty is no ground.",
                ),
                "refusal_scope": Param(
                    [], type="array", title="拒绝范围 Scope of a refusal",
                    items={"type": "string", "pattern": "^(everything|PI-[0-9]{3})$"},
                    description="everything, 或类别编号如 PI-028。 everything, or categories such as PI-028.",
                ),
                "reasons_document": Param(
                    None, type=["null", "string"], pattern="^[A-Z]{1,8}-[0-9]{1,8}(-[0-9]{1,8})?$",
                    title="理由文书编号 Number of the document with the reasons",
                    description="理由写在文书里,这里只填编号。 Reasons are written there; only its number here.",
                ),
            },
        )  # fmt: skip

        @task.branch(retries=3)
        def next_step(answer: dict) -> str:
            refused = answer.get("chosen_options") == [REFUSE]
            return "decide.ask_second_reviewer" if refused else "decide.approve"

        @step
        def approve(case_no: str, answer: dict) -> str:
            """Recorded with the notices to recipients, in one transaction. The requester may not approve."""
            if "known" in answer:
                return answer["known"]
            return verbs.approve(
                desk(), case_no, approver=person(answer, "approver"), as_of=today()
            ).state.value

        ask_second = Ask(
            task_id="ask_second_reviewer",
            case_of="take_up",
            answered=lambda number: None,
            subject="{{ ti.xcom_pull(task_ids='take_up') }}: 请复核拒绝决定 · review the refusal (a third person)",
            body="{% set given = ti.xcom_pull(task_ids='decide.ask')['params_input'] %}"
            "Ground {{ given['refusal_ground'] }}, scope {{ given['refusal_scope'] | join(', ') }}, "
            "reasons in {{ given['reasons_document'] }}. Until it is confirmed the clock runs on.",
            options=[CONFIRM, RETURN],
        )

        @step
        def refuse(case_no: str, answer: dict, review: dict) -> None:
            """Recorded with ground, article, reasons and scope, by two people."""
            if review["chosen_options"] == [RETURN]:
                raise Refused("the second reviewer returned the refusal", about=case_no,
                              next_step="clear the task decide.ask and decide again; the clock runs")  # fmt: skip
            given = answer["params_input"]
            ground = given.get("refusal_ground") or ""
            verbs.refuse(
                desk(), case_no, ground=ground, article=f"policy {ground}" if ground else "",
                reasons=given.get("reasons_document") or "", scope=given.get("refusal_scope") or (),
                reviewer=person(answer, "approver"), second_reviewer=person(review, "second_reviewer"),
                as_of=today(),
            )  # fmt: skip
            if EVERYTHING not in given["refusal_scope"]:
                raise Refused("a part is refused and held; the rest is to be decided", about=case_no,
                              next_step="trigger again with this case number")  # fmt: skip

        branch = next_step(ask.output)
        approved = approve(case, ask.output)
        refused = refuse(case, ask.output, ask_second.output)
        branch >> [approved, ask_second]
        return ask, approved, refused

    asked, approved, _ = decide()
    rehearsed >> asked

    # --- restrict, plan, dispose: each followed by its proof ------------------------------------

    @task_group
    def restrict() -> object:
        @step(pool="disposals")
        def stop_use(case_no: str) -> int:
            """Rows and objects hidden from the company's own applications, sessions and certificates revoked."""
            return len(verbs.restrict(desk(), case_no, **now()))

        @step(pool="proofs")
        def prove(case_no: str) -> str:
            """Read as each of the company's own applications: nothing of the person comes back."""
            return provers.prove_restricted(desk(), case_no, **now())

        done, proved = stop_use(case), prove(case)
        done >> proved
        return done, proved

    @task_group
    def plan() -> object:
        @step(pool="disposals")
        def settle(case_no: str) -> str:
            """Wait for whatever is older than the restriction, survey again, and make the plan in force."""
            return verbs.settle_and_plan(desk(), case_no, **now()).fingerprint()

        @step(pool="proofs")
        def prove(case_no: str) -> str:
            """The prover sees exactly what was located: it is not blind."""
            return provers.prove_baseline(desk(), case_no, **now())

        done, proved = settle(case), prove(case)
        done >> proved
        return done, proved

    @task_group
    def dispose() -> object:
        @step(pool="disposals")
        def carry_out(case_no: str) -> int:
            """Erase, anonymise, unlink: in one transaction per closed chunk, with its receipt."""
            return provers.carry_out(desk(), case_no, **now())

        @step(pool="proofs")
        def prove_gone(case_no: str) -> str:
            """Looked at again by somebody else: what went is gone, what stays is all there."""
            return provers.prove_gone(desk(), case_no, **now())

        @step(pool="proofs")
        def prove_undeclared(case_no: str) -> str:
            """The person's own values, looked for in every column and every object, declared or not."""
            return provers.prove_undeclared(desk(), case_no, **now())

        @step
        def balance(case_no: str) -> int:
            """located = erased + anonymised + transferred + unlinked + retained + held"""
            return len(verbs.balance(desk(), case_no, **now()))

        done, gone, undeclared, balanced = (
            carry_out(case), prove_gone(case), prove_undeclared(case), balance(case)
        )  # fmt: skip
        done >> gone >> undeclared >> balanced
        return done, balanced

    restricted, planned, disposed = restrict(), plan(), dispose()
    approved >> restricted[0]
    restricted[1] >> planned[0]
    planned[1] >> disposed[0]

    # --- what is waited for, and the receipt ------------------------------------------------------

    @step
    def wait_in_data(case_no: str) -> str:
        """Backups' tracks are opened; dates, recipients and holds are waited for in the case book."""
        at = desk()
        verbs.open_backup_track(at, case_no, **now())
        return verbs.rest(at, case_no, **now()).state.value

    @step
    def certify(case_no: str) -> str:
        """The interim certificate, in the person's edition and the auditor's."""
        return shelf().put(verbs.certify(desk(), case_no, **now()))

    disposed[1] >> wait_in_data(case) >> certify(case)


account_cancellation()
