"""The codes of the case book as people read them, Chinese and English. The pages show no bare code where there is a word."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from include.cases.decisions import Method, Outcome
from include.cases.refusals import RefusalGround
from include.cases.scopes import HoldBasis
from include.cases.shutdown.dates import Gate, Path
from include.model.media import Becomes
from include.model.notices import AnswerCode, Instruction
from include.model.words import CaseState, Channel, Disposition, Ground, Requester, UnitState

Pair = tuple[str, str]
Code = TypeVar("Code", bound=StrEnum)

STATES: Mapping[CaseState, Pair] = {
    CaseState.RECEIVED: ("已收到", "received"),
    CaseState.ID_PENDING: ("待核实身份", "identity to be checked"),
    CaseState.ID_FAILED: ("身份未通过", "identity not confirmed"),
    CaseState.TRIGGERED: ("主动发起", "opened by us"),
    CaseState.ASSESSING: ("待审批", "to be decided"),
    CaseState.REFUSED: ("已拒绝", "refused"),
    CaseState.ACTING: ("处理中", "at work"),
    CaseState.HELD: ("保全中", "held"),
    CaseState.WAITING: ("等待备份、第三方或期限", "waiting"),
    CaseState.CLOSED: ("已结案", "closed"),
    CaseState.REOPENED: ("重新打开", "reopened"),
}
GROUNDS: Mapping[Ground, Pair] = {
    Ground.CANCELLATION: ("注销账户", "account cancelled"),
    Ground.WITHDRAWN_CONSENT: ("撤回同意", "consent withdrawn"),
    Ground.UNLAWFUL_PROCESSING: ("违法处理", "unlawful processing"),
    Ground.NO_CONSENT: ("未经同意收集", "collected without consent"),
    Ground.BREACH_OF_AGREEMENT: ("违反约定", "breach of agreement"),
    Ground.SERVICE_ENDED: ("停止服务", "service ended"),
    Ground.OBJECTION: ("反对处理", "objection"),
    Ground.MINOR: ("未成年人", "minor"),
    Ground.LIMIT_REACHED: ("保存期届满", "retention period over"),
    Ground.PURPOSE_ACHIEVED: ("目的已实现", "purpose achieved"),
    Ground.SHUTDOWN: ("停止运营", "shutdown"),
    Ground.ENTRUSTMENT_ENDED: ("委托终止", "a partner takes back what it entrusted"),
    Ground.DORMANT: ("账户长期未使用", "account not used, after notice"),
}
CHANNELS: Mapping[Channel, Pair] = {
    Channel.APP: ("应用内", "in the app"),
    Channel.EMAIL: ("邮件", "by e-mail"),
    Channel.PHONE: ("电话", "by phone"),
    Channel.LETTER: ("信函", "by letter"),
    Channel.WEBSITE: ("网站", "on the web site"),
    Channel.SCHEDULE: ("定期运行", "by schedule"),
}
REQUESTERS: Mapping[Requester, Pair] = {
    Requester.SELF: ("本人", "the person"),
    Requester.GUARDIAN: ("监护人", "a guardian"),
    Requester.HEIR: ("近亲属", "an heir"),
    Requester.OBJECTOR: ("提出反对者", "an objector"),
    Requester.UPSTREAM: ("数据提供方", "who gave us the data"),
    Requester.US: ("本机构", "ourselves"),
}
FATES: Mapping[Disposition, Pair] = {
    Disposition.ERASE: ("删除", "erased"),
    Disposition.DEIDENTIFY: ("去标识化", "de-identified"),
    Disposition.ANONYMISE: ("匿名化", "anonymised"),
    Disposition.TRANSFER: ("移交", "transferred"),
    Disposition.UNLINK: ("切断关联", "unlinked"),
    Disposition.RETAIN: ("依法保留", "kept by law"),
    Disposition.HOLD: ("保全", "held"),
}
TRACKS: Mapping[UnitState, Pair] = {
    UnitState.ACTIVE: ("使用中", "in use"),
    UnitState.RESTRICTED: ("已停止使用", "restricted"),
    UnitState.HELD: ("保全", "held"),
    UnitState.LIVE_AGAIN: ("已重新同意,继续使用", "in use again by a new consent"),
    UnitState.DELETING_LIVE: ("删除中", "being deleted"),
    UnitState.DELETE_FAILED: ("删除失败", "deletion failed"),
    UnitState.LIVE_DELETED: ("已删除", "deleted"),
    UnitState.DEIDENTIFIED: ("已去标识化（仍属个人信息）", "de-identified, personal still"),
    UnitState.ANONYMISED: ("已匿名化", "anonymised"),
    UnitState.TRANSFERRED: ("已移交", "transferred"),
    UnitState.BACKUP_PENDING: ("等待备份到期", "waits for its expiry"),
    UnitState.BACKUP_PURGED: ("备份已到期", "expired"),
    UnitState.TP_NOTIFIED: ("通知已拟,待答复", "notice written, no answer yet"),
    UnitState.TP_ACKED: ("已答复:已删除", "answered: deleted"),
    UnitState.TP_RETAINED: ("已答复:依法保留", "answered: keeps it by law"),
    UnitState.TP_UNLINKED: ("已答复:已切断关联", "answered: unlinked"),
    UnitState.TP_ESCALATED: ("已升级处理", "escalated"),
    UnitState.TP_SUPERSEDED: ("已由后一通知取代", "a later notice takes its place"),
}
METHODS: Mapping[Method, Pair] = {
    Method.CODE_TO_REGISTERED_MOBILE: ("注册手机验证码", "code to the registered mobile"),
    Method.LINK_TO_REGISTERED_EMAIL: ("注册邮箱链接", "link to the registered e-mail"),
    Method.SIGNED_IN_SESSION: ("已登录会话", "signed-in session"),
    Method.WRITTEN_REQUEST_COMPARED: ("比对书面申请", "written request compared"),
    Method.DOCUMENT_COMPARED_IN_PERSON: ("当面比对证件", "document compared in person"),
    Method.SIGNED_WITH_CERTIFICATE: ("证书签名", "signed with a certificate"),
    Method.GUARDIAN_DOCUMENTS_COMPARED: ("比对监护人文件", "guardian's documents compared"),
    Method.HEIR_DOCUMENTS_COMPARED: ("比对继承人文件", "heir's documents compared"),
}
REFUSALS: Mapping[RefusalGround, Pair] = {
    RefusalGround.LEGAL_DUTY: ("履行法定义务", "a legal duty"),
    RefusalGround.NATIONAL_SECURITY: ("国家安全、国防安全", "national security"),
    RefusalGround.PUBLIC_INTEREST: ("公共安全、公共卫生、重大公共利益", "public safety, health or interest"),
    RefusalGround.CRIMINAL_PROCESS: ("刑事侦查、起诉、审判和执行", "criminal process"),
    RefusalGround.BAD_FAITH: ("主观恶意或滥用权利", "bad faith or abuse of rights"),
    RefusalGround.VITAL_INTERESTS: ("重大合法权益而难得本人同意", "vital interests, consent out of reach"),
    RefusalGround.HARM_TO_OTHERS: ("损害他人合法权益", "harm to others"),
    RefusalGround.TRADE_SECRETS: ("商业秘密", "trade secrets"),
}
ANSWERS: Mapping[str, Pair] = {
    Outcome.MATCHED: ("相符", "matched"),
    Outcome.MISMATCHED: ("不相符", "not matched"),
    Outcome.NO_ANSWER: ("逾期未答", "nobody answered"),
    "approve": ("批准", "approved"),
    "refuse": ("拒绝", "refused"),
    "interim": ("中期", "interim"),
    "final": ("最终", "final"),
}
EVENTS: Mapping[str, Pair] = {
    "opened": ("立案", "opened"),
    "joined": ("并入新的请求", "another request joined"),
    "moved": ("状态变更", "moved"),
    "rehearsed": ("预演", "rehearsed"),
    "approved": ("批准", "approved"),
    "refused in part": ("部分拒绝", "refused in part"),
    "notices written": ("已拟第三方通知", "notices to recipients written"),
    "notice sent": ("已通知第三方", "notice sent"),
    "nobody to tell": ("无第三方需通知", "no recipient to tell"),
    "reminder sent": ("已催办第三方", "recipient reminded"),
    "notice in doubt": ("信函是否送达存疑", "whether the letter arrived is in doubt"),
    "notice refused": ("第三方拒收通知", "the recipient would not take the notice"),
    "notice for a person": ("转人工告知", "a person tells the recipient"),
    "expected": ("第三方告知预计日期", "the recipient named a day"),
    "answer": ("收到第三方答复", "a recipient answered"),
    "answer decided": ("人工认定第三方答复", "a person decided of an answer"),
    "next notice not written": ("后续通知未能拟定", "the next notice could not be written"),
    "not reopened": ("未能重启案件", "the case could not be reopened"),
    "notices destroyed": ("通知记录期满销毁", "records of notices destroyed"),
    "sends resumed": ("恢复向第三方提供", "data may be given again"),
    "recipient": ("第三方", "recipient"),
    "looked at again": ("回查第三方", "a recipient was asked whether it still knows"),
    "taken back": ("合作机构撤回请求", "a partner took its request back"),
    "register explained": ("已查明提供记录缺漏", "why the register lacked an entry was found out"),
    "recipient confronted": ("已与第三方交涉", "a recipient that was caught was talked to"),
    "given beyond the policy": (
        "超出政策所列提供",
        "a recipient was given more than the policy lists for it",
    ),
    "explained": ("已说明超出提供的依据", "what was given beyond the policy was answered for"),
    "planned": ("计划生效", "plan in force"),
    "disposed": ("处置", "disposed"),
    "release begun": ("匿名化发布开始", "release of a set begun"),
    "released": ("已匿名化发布", "released as a set that names nobody"),
    "evidence": ("证据", "evidence"),
    "parked": ("搁置", "parked"),
    "consent given again": ("已重新同意", "consent given again"),
    "hold opened": ("保全令生效", "hold opened"),
    "hold released": ("保全令解除", "hold released"),
    "hold narrowed": ("保全范围缩小", "hold narrowed"),
    "backup tracks opened": ("开始等待备份到期", "waiting for backups begun"),
    "backup purged": ("备份中已不存在", "seen to be gone from a backup set"),
    "backup holds again": (
        "备份中再次出现，重新等待",
        "came up in a backup set that was said to be free of it",
    ),
    "log waited for again": (
        "数据库已换服务器，重新等待其日志",
        "the database is another server's: its log is waited for",
    ),
    "tables rewritten": ("数据表已重写", "tables written anew"),
    "night approved": ("到期清理已获准", "night let go on"),
    "night out of line": (
        "待清理数量超出预期,须人工确认",
        "more is to go than was judged: a person is asked",
    ),
    "fell short of the forecast": (
        "到期数量远低于预测",
        "far less was due than the night before forecast",
    ),
    "night goes by a plan of stages": ("按分批方案清理", "night goes by a plan of stages"),
    "planned under another catalogue": (
        "规则目录已变更,重新计划",
        "planned again: the catalogue changed before anything went",
    ),
    "catalogue changed": (
        "清理中途规则目录已变更",
        "the catalogue changed while a night was at work",
    ),
    "partitions due": ("整个分区到期", "whole partitions due"),
    "waited for standbys": ("等待备库跟上", "waited for standbys"),
    "waited for others": ("数据库繁忙,已让路", "waited for others' work on the server"),
    "went before the hold": ("保全之前已处理", "gone before the hold"),
    "laws collide": ("两部法规冲突,待裁定", "two laws collide: to be decided"),
    "no rule speaks": ("没有规则涉及,待裁定", "no rule speaks of them: to be decided"),
    "replayed": ("恢复后再次删除", "deleted again after a restore"),
    "horizon moved": ("备份到期日推迟", "the end of a backup set moved out"),
    "came up in a drill": ("恢复演练中再现", "came up in a restore drill"),
    "certified": ("签发证书", "certificate issued"),
    "told": ("已答复本人", "the person was told"),
    "key destroyed": ("密钥已销毁", "key destroyed"),
    "records ended": ("不再指向任何人", "leads to nobody any more"),
}
CODES: Mapping[AnswerCode, Pair] = {
    AnswerCode.DELETED: ("已删除", "deleted"),
    AnswerCode.NOTHING_HELD: ("未持有", "holds nothing"),
    AnswerCode.RETAINED_BY_LAW: ("依法保存", "kept by law"),
    AnswerCode.RETAINED_INDEPENDENT: ("依自身职责保存", "kept by its own mandate"),
    AnswerCode.HELD_DISPUTE: ("因争议保存", "kept for a dispute"),
    AnswerCode.CANNOT_ERASE_IMMUTABLE: ("链上无法删除", "cannot be erased on a chain"),
    AnswerCode.PARTIAL: ("部分完成", "done in part"),
    AnswerCode.INCOMPLETE: ("转告名单不完整", "does not name all it passed it to"),
    AnswerCode.REJECTED_IDENTITY: ("无法识别该人", "does not know the person"),
    AnswerCode.NO_REPLY: ("未答复", "gave no answer"),
    AnswerCode.UNLINKED: ("已由我方断开关联", "unlinked by us"),
}
INSTRUCTIONS: Mapping[Instruction, Pair] = {
    Instruction.ERASE: ("删除", "erase"),
    Instruction.PRESERVE: ("保全", "preserve"),
    Instruction.INFORM: ("告知", "for information"),
    Instruction.STOP_ANCHORING: ("停止上链", "stop anchoring"),
}
DELIVERIES: Mapping[str, Pair] = {
    "waiting": ("待发", "to be told"),
    "sending": ("发送中", "being told"),
    "delivered": ("已告知", "told"),
    "in_doubt": ("待查明是否送达", "in doubt: a person finds out"),
    "errand": ("待人工告知", "a person tells it"),
    "refused": ("对方拒收", "would not take it"),
    "cancelled": ("已撤回", "taken back"),
}
BECAUSE: Mapping[str, Pair] = {
    "decision": ("决定", "decided"),
    "hold_opened": ("应予保全", "a hold was opened"),
    "changed": ("通知内容变更", "what it is asked has changed"),
    "still_retained": ("询问是否仍须保存", "whether it still must keep it"),
    "hold_released": ("保全解除", "a hold was released"),
    "retention_ended": ("保存期满", "its retention ended"),
    "not_deleted": ("声称删除而仍留存", "said to be gone, and was not"),
    "reopened": ("案件重新打开", "the case was reopened"),
}
ERRANDS: Mapping[str, Pair] = {
    "carry": ("请告知接收方", "tell the recipient"),
    "in_doubt": ("请查明信函是否送达", "find out whether the letter arrived"),
    "judge": ("请核对其答复的依据", "read the law that its answer rests on"),
}
BASES: Mapping[HoldBasis, Pair] = {
    HoldBasis.COURT: ("法院命令", "by order of a court"),
    HoldBasis.AUTHORITY: ("主管机关命令", "by order of an authority"),
    HoldBasis.STATUTE: ("法律规定", "by a statute"),
    HoldBasis.DISPUTE: ("争议", "for a dispute"),
}
GATES: Mapping[Gate, Pair] = {
    Gate.REPORTED_E_GOVERNMENT: (
        "已报告电子政务认证主管部门",
        "the regulator of e-government certificates was told",
    ),
    Gate.NOTIFIED: ("通知有关各方(90日前)", "notify the parties (90 days before)"),
    Gate.REPORTED: ("向主管部门报告(60日前)", "report to the ministry (60 days before)"),
    Gate.ANNOUNCED: ("首页公示(满30日)", "announce on the home page (for 30 days)"),
    Gate.SUCCESSOR_TOLD: ("告知个人承接方名称与联系方式", "tell people the successor's name and contact"),
    Gate.CLOSED: ("停止收集(T0)", "close collection (T0)"),
}
PATHS: Mapping[Path, Pair] = {
    Path.VOLUNTARY: ("自行终止", "of its own will"),
    Path.LICENCE_REVOKED: ("许可被吊销", "licence revoked"),
}
MEDIA: Mapping[Becomes, Pair] = {
    Becomes.STAYS: ("继续在用,由其保管", "stays in service with"),
    Becomes.RENTED: ("租用,归其所有", "is rented from"),
    Becomes.LATER: ("应于该日前清除", "is to be sanitised by"),
}
SHUTDOWNS: Mapping[str, Pair] = {
    "open": ("进行中", "in force"),
    "closing": ("正在停止收集", "collection is being closed"),
    "closed": ("已停止收集", "collection closed"),
    "withdrawn": ("已撤销", "withdrawn"),
    "ended": ("已完结", "ended"),
    "company": ("整个机构", "the whole company"),
    "moves": ("移交承接方", "moves to the successor"),
    "goes": ("删除或匿名化", "is deleted or anonymised"),
    "stays": ("依法或因保全留存", "stays, by law or for a hold"),
    "opened": ("立项", "opened"),
    "gate": ("办理", "a gate was passed"),
    "T0 moved": ("T0变更", "T0 moved"),
    "successor named": ("确定承接方", "successor named"),
    "successor withdrew": ("承接方退出", "successor withdrew"),
    "ministry asked": ("已请主管部门安排承接", "the ministry was asked to arrange who takes over"),
    "left with who withdrew": (
        "批准人确认:已移交部分由退出方继续保管",
        "an approver says that who withdrew keeps what it alone has",
    ),
    "went on without who withdrew": (
        "其余部分另行移交",
        "what is left goes on without who withdrew",
    ),
    "custodian named": ("确定保管方", "custodian named"),
    "closing begun": ("开始停止收集", "closing begun"),
    "collection closed": ("已停止收集", "collection closed"),
    "waits for approval": ("待批准", "waits for approval"),
    "approved": ("批准", "approved"),
    "people told": ("逐一告知个人", "people were told"),
    "objection": ("有人反对移交", "somebody objects to the handover"),
    "notices made": ("向承接方发出更正通知", "notices about packed items were made"),
    "request taken": ("收到个人请求", "a person's request was taken"),
    "requests passed on": ("向承接方转告个人请求", "requests of people were passed on to the successor"),
    "consigned": ("编制移交清单", "a consignment was made"),
    "located": ("清点", "everything was counted"),
    "disposal approved": ("批准删除不移交的数据", "the disposal of what goes to nobody was approved"),
    "disposal begun": ("开始删除不移交的数据", "the disposal of what goes to nobody begun"),
    "disposed of": ("不移交的数据已删除", "what goes to nobody was disposed of"),
    "withdrawal begun": ("开始撤销", "withdrawal begun"),
    "source deletion approved": (
        "批准删除已移交的数据",
        "the deletion of what was handed over was approved",
    ),
    "source deletion begun": ("开始删除已移交的数据", "deletion of what was handed over begun"),
    "source deletion goes on without": (
        "有包被搁置,其余继续删除",
        "deletion goes on without bags that were stopped",
    ),
    "identifiers gathered": ("提取标识摘要", "digests of identifiers were gathered"),
    "key of identifiers declared lost": (
        "标识摘要的密钥声明灭失",
        "the key of the digests was declared lost",
    ),
    "shorter notice answered for": (
        "法定期限不足,批准人说明",
        "an approver answers for a notice shorter than the law wants",
    ),
    "media answered for": (
        "批准人载明介质去向",
        "an approver says what becomes of media",
    ),
    "identifiers dropped": ("销毁标识摘要", "digests of identifiers were destroyed"),
    "dragnet": ("全库核查", "the whole estate was looked through"),
    "certified": ("出具证明", "the service was certified"),
    "ledger handed over": ("移交账本", "the ledger was handed to the custodian"),
    "passing on ended": ("停止转告个人请求", "requests of people are passed on no more"),
    "recipients told": ("通知接收方", "recipients were told"),
    "books": ("核对账目", "the books were held against both sides"),
    "collection looked at": ("核查停止收集", "collection looked at"),
    "conservation proved": ("守恒核验", "conservation was proved"),
    "late difference accepted": (
        "证明之后的差异由人负责",
        "an approver answers for differences after the certificate",
    ),
    "requests left unanswered": (
        "未答复的个人请求由人负责",
        "an approver answers for requests that nobody answered",
    ),
    "unverified accepted": ("未能核查之处由人负责", "a person answers for what could not be seen"),
    "passed": ("通过", "passed"),
    "failed": ("未通过", "failed"),
    "unverified": ("未能核查", "not verified"),
}
_ALL: Mapping[str, Mapping[str, Pair]] = {
    "gate": {k.value: v for k, v in GATES.items()},
    "path": {k.value: v for k, v in PATHS.items()},
    "medium": {k.value: v for k, v in MEDIA.items()},
    "shutdown": SHUTDOWNS,
    "state": {k.value: v for k, v in STATES.items()},
    "ground": {k.value: v for k, v in GROUNDS.items()},
    "channel": {k.value: v for k, v in CHANNELS.items()},
    "requester": {k.value: v for k, v in REQUESTERS.items()},
    "fate": {k.value: v for k, v in FATES.items()},
    "track": {k.value: v for k, v in TRACKS.items()},
    "method": {k.value: v for k, v in METHODS.items()},
    "answer": ANSWERS,
    "event": EVENTS,
    "errand": ERRANDS,
    "instruction": {k.value: v for k, v in INSTRUCTIONS.items()},
    "delivery": DELIVERIES,
    "because": BECAUSE,
    "basis": {k.value: v for k, v in BASES.items()},
    "code": {k.value: v for k, v in CODES.items()},
}


def word(kind: str, code: str, lang: str) -> str:
    """The word for a code. An event that has none yet is shown as it is written."""
    pair = _ALL[kind].get(code)
    return code if pair is None else pair[0 if lang == "zh" else 1]


def choices(words: Mapping[Code, Pair]) -> dict[str, str]:
    """What a form shows for each code: both languages, for its reader is not known."""
    return {code.value: f"{zh} {en}" for code, (zh, en) in words.items()}
