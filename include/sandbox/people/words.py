"""What people write: free text with names, numbers and addresses in it, as it comes."""

from __future__ import annotations

from random import Random

from include.sandbox.people.person import Person


def spoken(r: Random, mobile: str) -> str:
    """A mobile number as somebody types it."""
    parts = (mobile[:3], mobile[3:7], mobile[7:])
    return r.choice((mobile, " ".join(parts), "-".join(parts), "+86 " + mobile))


def ticket(r: Random, p: Person) -> str:
    return r.choice(
        (
            f"您好,我是{p.name},一直收不到验证码,手机号{spoken(r, p.mobile)},请尽快处理。",
            f"证书无法下载,登录名{p.user_name},邮箱{p.email},姓名{p.name}。",
            f"想变更手机号,原号码{spoken(r, p.mobile)},身份证号{p.document_no}。",
            f"U盾丢失,请邮寄到{p.address},收件人{p.name} {spoken(r, p.mobile)}。",
        )
    )


def note(r: Random, p: Person) -> str:
    return r.choice(
        (
            f"回访{p.name} {spoken(r, p.mobile)},无人接听",
            f"已致电{spoken(r, p.mobile)},{p.name}{'女士' if p.female else '先生'}表示满意",
            f"转二线,客户称证件号{p.document_no[:6]}开头与系统不符",
            "已按流程处理",
        )
    )


def complaint(r: Random) -> str:
    return r.choice(("等待时间过长", "怀疑信息泄露,要求说明", "重复收到营销短信"))


def appeal(p: Person) -> str:
    return f"关于账户{p.user_name}的申诉:本人{p.name},证件号{p.document_no},联系电话{p.mobile}。证书被误吊销,请核查。"


def vetting(r: Random, p: Person) -> str:
    return r.choice(
        (
            f"已电话核实申请人{p.name},号码{p.mobile},与登记一致",
            f"人脸比对通过,证件号{p.document_no}",
            "资料齐全,同意签发",
        )
    )


def contract(one: Person, other: Person) -> str:
    return (
        f"甲方:{one.name}(身份证号{one.document_no}),住址:{one.address},电话:{one.mobile}。\n"
        f"乙方:{other.name}(身份证号{other.document_no}),电话:{other.mobile}。\n"
        "双方经协商一致,就借款事宜订立本合同。借款期限十二个月,年利率3.45%。争议提交仲裁委员会仲裁。"
    )
