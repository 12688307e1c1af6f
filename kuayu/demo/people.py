"""People and firms that do not exist: names of our own making, and numbers that are well-formed and were never given.

Their numbers have the area 430000: a province as such registers neither people nor firms under its own code, so none of
these numbers can be anybody's. Each application says in its form that it is simulated.
"""

from datetime import date, timedelta
from random import Random
from typing import Final

from stdnum.cn import ric, uscc

from schemas.models import Agent, Applicant, Contact, DocumentKind, Organisation, Person

FICTITIOUS_AREA: Final = "430000"

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁"
)
_DOUBLE: Final = ("欧阳", "上官", "诸葛", "司马")
_GIVEN: Final = (
    "文明志强秀英建国丽华伟芳敏静军洋艳勇杰娟涛超霞平刚桂兰红玉凤春梅海波晓东雨晨思远子涵佳怡浩然嘉欣梓轩"
)
_RARE: Final = "喆堃珺玥祎昇镕淏翀旻赟頔犇垚㛃䶮𬱖𫖯𬭚"  # not in GB 2312; some are not even in the BMP
_TRADES: Final = (
    "餐饮管理",
    "物流",
    "建材",
    "信息技术",
    "农业开发",
    "文化传媒",
    "机械制造",
    "环保科技",
    "服饰",
    "医药",
)
_PLACES: Final = {"430100": "长沙", "430200": "株洲", "430300": "湘潭", "440100": "广州"}
_STREETS: Final = ("人民路", "建设路", "解放路", "湘江路", "韶山路", "芙蓉路", "天台路", "中山路")
_ORGANISATION_CHARACTERS: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100


class People:
    """Makes applicants out of one source of chance."""

    def __init__(self, random: Random, today: date) -> None:
        self._random = random
        self._today = today

    def person(self, *, rare: float = 0.03, only_identity_card: bool = False) -> Person:
        """A natural person; a share `rare` has a name beyond GB 2312. 96 % have an identity card."""
        kind = DocumentKind.IDENTITY_CARD
        if not only_identity_card:
            [kind] = self._random.choices(
                [
                    DocumentKind.IDENTITY_CARD,
                    DocumentKind.HK_MACAO_PERMIT,
                    DocumentKind.TAIWAN_PERMIT,
                    DocumentKind.PASSPORT,
                    DocumentKind.RESIDENCE_PERMIT,
                ],
                [96, 1, 1, 1, 1],
            )
        return Person(name=self._name(rare), document_kind=kind, document_number=self._number(kind))

    def organisation(self) -> Organisation:
        """A firm with its legal representative."""
        place = self._random.choice(list(_PLACES.values()))
        word = "".join(self._random.sample(_GIVEN, 2))
        name = f"{place}{word}{self._random.choice(_TRADES)}有限公司"
        body = "".join(self._random.choices(_ORGANISATION_CHARACTERS, k=9))
        stem = f"91{FICTITIOUS_AREA}{body}"
        code = stem + uscc.calc_check_digit(stem)
        return Organisation(name=name, code=code, representative=self.person(only_identity_card=True))

    def applicant(self, *, organisation: bool, agent: bool) -> Applicant:
        """A person or a firm, perhaps with somebody who acts for it."""
        helper = None
        if agent:
            authority = f"委托{self._random.randrange(10**8):08d}"
            helper = Agent(person=self.person(only_identity_card=True), authority=authority)
        return Applicant(
            person=None if organisation else self.person(),
            organisation=self.organisation() if organisation else None,
            contact=Contact(
                mobile=f"100{self._random.randrange(10**8):08d}"
            ),  # no network has numbers with 100
            agent=helper,
        )

    def address(self, code: str) -> str:
        """A postal address in the place `code`."""
        place = _PLACES.get(code, code)
        return f"{place}市{self._random.choice(_STREETS)}{self._random.randint(1, 999)}号"

    def _name(self, rare: float) -> str:
        surname = self._random.choice(_DOUBLE if self._random.random() < 0.01 else _SURNAMES)  # noqa: PLR2004
        given = "".join(self._random.choices(_GIVEN, k=self._random.choice((1, 2, 2, 2))))
        return surname + (self._random.choice(_RARE) if self._random.random() < rare else given)

    def _number(self, kind: DocumentKind) -> str:
        digits = f"{self._random.randrange(10**8):08d}"
        match kind:
            case DocumentKind.IDENTITY_CARD:
                return self._citizen_number()
            case DocumentKind.HK_MACAO_PERMIT:
                return f"H{digits}"
            case DocumentKind.TAIWAN_PERMIT:
                return digits
            case DocumentKind.RESIDENCE_PERMIT:
                return f"810000{self._citizen_number()[6:]}"
            case _:
                return f"E{digits}"

    def _citizen_number(self) -> str:
        born = self._today - timedelta(days=self._random.randint(18 * 366, 80 * 365))
        stem = f"{FICTITIOUS_AREA}{born:%Y%m%d}{self._random.randrange(1000):03d}"
        return stem + ric.calc_check_digit(f"{stem}0")
