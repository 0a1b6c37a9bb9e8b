"""Values that are valid and of nobody: names, ID numbers, credit codes, phones, cards, places."""

from __future__ import annotations

from datetime import date
from random import Random

from stdnum import luhn
from stdnum.cn import ric, uscc

_SURNAMES = (
    "王李张刘陈杨黄赵吴周" * 5 + "徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹" * 2
    + "彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶"
)  # fmt: skip
_TWO_PART_SURNAMES = ("欧阳", "司马", "上官", "诸葛", "慕容", "司徒")
_FOR_WOMEN = "芳娜敏静丽艳娟秀霞桂英玉兰凤梅雪琳颖倩丹婷慧莹晶曦怡萍红玲瑶佳欣悦蕾薇"
_FOR_MEN = "伟强磊军洋勇杰涛明超刚建文斌辉鑫波宇浩凯健俊帆阳翔鹏飞博睿峰龙志国庆旭晨泽轩"
_BRANDS = "华泰恒信达安瑞丰盛科创联合远航天成宏图东方新立明德正和"

# Division code (GB/T 2260), place, and the year since which ID numbers begin with it.
PLACES = (
    ("110101", "北京市东城区", 1949), ("110102", "北京市西城区", 1949), ("110105", "北京市朝阳区", 1949),
    ("110108", "北京市海淀区", 1949), ("120101", "天津市和平区", 1949), ("310101", "上海市黄浦区", 1949),
    ("310104", "上海市徐汇区", 1949), ("310110", "上海市杨浦区", 1949), ("210102", "沈阳市和平区", 1984),
    ("230103", "哈尔滨市南岗区", 1984), ("320106", "南京市鼓楼区", 1984), ("330106", "杭州市西湖区", 1984),
    ("350203", "厦门市思明区", 1984), ("370102", "济南市历下区", 1984), ("410102", "郑州市中原区", 1984),
    ("420106", "武汉市武昌区", 1984), ("440103", "广州市荔湾区", 1984), ("440305", "深圳市南山区", 1991),
    ("510107", "成都市武侯区", 1991), ("610103", "西安市碑林区", 1984), ("530102", "昆明市五华区", 1984),
)  # fmt: skip
_STREETS = (
    "中山路",
    "人民路",
    "解放大道",
    "建设街",
    "和平里",
    "文化东路",
    "长江路",
    "学院路",
    "青年路",
    "滨河街",
)
ETHNICITIES = ("汉",) * 22 + ("回", "满", "壮", "维吾尔", "苗", "土家")
_PREFIXES = (
    "130", "131", "132", "133", "134", "135", "136", "137", "138", "139", "147", "150", "151", "152", "153", "155",
    "156", "157", "158", "159", "166", "173", "175", "176", "177", "178", "180", "181", "182", "183", "185", "186",
    "187", "188", "189", "191", "198", "199",
)  # fmt: skip
_CARDS = (
    ("622202", "工商银行", "debit"), ("621700", "建设银行", "debit"), ("622848", "农业银行", "debit"),
    ("621661", "中国银行", "debit"), ("622588", "招商银行", "debit"), ("622575", "招商银行", "credit"),
)  # fmt: skip
_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # the letters of credit codes (GB 32100)
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's, as the accounts' ids are written


def account_id(r: Random) -> str:
    """An opaque id: chance, and nothing else."""
    return "acct_" + "".join(r.choices(_ID_ALPHABET, k=12))


def full_name(r: Random, female: bool) -> str:
    surname = r.choice(_TWO_PART_SURNAMES) if r.random() < 0.01 else r.choice(_SURNAMES)
    return surname + "".join(r.choices(_FOR_WOMEN if female else _FOR_MEN, k=1 if r.random() < 0.25 else 2))


def place_of_birth(r: Random, born: date) -> str:
    """A division code that was in use in the year of birth."""
    return r.choice([code for code, _, since in PLACES if since <= born.year])


def address(r: Random) -> str:
    _, place, _ = r.choice(PLACES)
    return f"{place}{r.choice(_STREETS)}{r.randrange(1, 300)}号{r.randrange(1, 20)}单元{r.randrange(101, 2900)}室"


def region(address: str) -> str:
    """The city of an address."""
    return address[: address.index("市") + 1]


def resident_id(r: Random, born: date, female: bool) -> str:
    """A resident ID number (GB 11643): division, birth date, an order that is even for women, a check digit."""
    order = r.randrange(1, 499) * 2 + (0 if female else 1)
    base = f"{place_of_birth(r, born)}{born:%Y%m%d}{order:03d}"
    return base + str(ric.calc_check_digit(base + "0"))


def credit_code(r: Random) -> str:
    """A unified social credit code (GB 32100) of a company: division, nine characters, a check character."""
    base = "91" + r.choice(PLACES)[0] + "".join(r.choices(_CODE, k=9))
    return base + str(uscc.calc_check_digit(base))


def mobile(seed: int, order: int) -> str:
    """The mobile number of an order. Two orders under a hundred million never share one."""
    line = (order * 61_803_399 + seed * 7_654_321) % 100_000_000
    return f"{_PREFIXES[order % len(_PREFIXES)]}{line:08d}"


def card(r: Random) -> tuple[str, str, str]:
    """A bank card: number with its Luhn digit, bank, class."""
    begins, bank, kind = r.choice(_CARDS)
    base = begins + digits(r, 12)
    return base + str(luhn.calc_check_digit(base)), bank, kind


def company_name(r: Random, place: str) -> str:
    return f"{place}{''.join(r.sample(_BRANDS, 2))}{r.choice(('科技', '贸易', '信息技术', '建设工程', '电子'))}有限公司"


def digits(r: Random, length: int) -> str:
    """So many digits, the first not zero."""
    return str(r.randrange(10 ** (length - 1), 10**length))


def hexed(r: Random, length: int) -> str:
    """So many hexadecimal digits, as of a digest."""
    return f"{r.getrandbits(length * 4):0{length}x}"
