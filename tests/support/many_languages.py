"""Small invented texts in seven languages, raw and labelled: enough to go from raw text to a tagger."""

from __future__ import annotations

import json
import random
import re
from typing import NamedTuple


class Invented(NamedTuple):
    """Names, places, sentences with ``P`` and ``L`` in their places, and sentences without names."""

    people: str
    places: str
    named: str
    plain: str
    between: str = " "


LANGUAGES = {
    "de": Invented(
        "Anna Vogt;Karl Beck;Dr. Uwe Lenz;Ina Roth;Max Brandt;Eva Kern",
        "Ulm;Kiel;Neustadt;Bergheim;Linz;Trier",
        "P wohnt seit dem 3. Oktober in L.;Gestern fuhr P nach L.;In L traf P den Arzt.;Kommt P z.B. aus L?",
        "Das Wetter war nicht gut.;Wir haben das Brot gekauft und die Milch vergessen.;Er ging um 8:30 Uhr.",
    ),
    "fr": Invented(
        "Alice Morel;Paul Roux;M. Dupont;Jeanne Petit;Luc Blanc;Emma Noir",
        "Lyon;Arles;Belleville;Dijon;Nice;Amiens",
        "Le frère d'P habite à L.;Hier, P est venu de L.;C'est à L qu'P travaille.;P n'aime pas L, dit-il.",
        "Il fait beau aujourd'hui.;L'eau est froide et le pain n'est pas frais.;Qu'est-ce que c'est ?",
    ),
    "ar": Invented(
        "أحمد سالم;ليلى حسن;سمير خالد;نور علي;مريم يوسف;كريم سعيد",
        "بيروت;دمشق;الرباط;تونس;عمان;فاس",
        "سافر P إلى L أمس.;يعيش P في L.;هل وصل P من L؟;قال P إن L جميلة.",
        "كان الطقس باردا.;اشترى الخبز، والحليب، والتفاح.;لا أعرف ماذا حدث.",
    ),
    "ru": Invented(
        "Анна Белова;Иван Орлов;Пётр Лунин;Вера Зимина;Олег Рогов;Нина Серова",
        "Тула;Псков;Казань;Омск;Тверь;Пермь",
        "P живёт в г. L на ул. Мира.;Вчера P приехал в L.;P родился в L в 1990 г.;Когда P уедет из L?",
        "Погода была плохая.;Мы купили хлеб, молоко и т.д.;Он ничего не сказал.",
    ),
    "hi": Invented(
        "राम वर्मा;सीता देवी;मोहन लाल;गीता शर्मा;अजय सिंह;नीता राव",
        "दिल्ली;मुंबई;पुणे;आगरा;जयपुर;पटना",
        "P कल L गया।;P अब L में रहता है।;क्या P सच में L से है?;डॉ. P ने L में काम किया।",
        "मौसम अच्छा नहीं था।;उसने चावल और दाल ख़रीदी।;यह सच नहीं है।",
    ),
    "ja": Invented(
        "佐野;田中;ミナ;山本;ケン;小川",
        "青葉駅;北町;アオバ;松島;西川村;東山",
        "PさんはきのうLに行きました。;LでPに会った。;PはLに住んでいる。;「Lへ行く。」とPが言った。",
        "天気がよくなかった。;パンと牛乳を買いました。;それは本当ですか？",
        "",
    ),
    "zh": Invented(
        "张三;李四;王小明;赵丽;钱伟;孙芳",
        "北京;上海;广州;青山;南河;东海",
        "P在L工作。;昨天P去了L。;P说：“L很好。”;P是从L来的吗？",
        "天气不太好。;我们买了面包和牛奶。;他2024年没有来！",
        "",
    ),
}
N_LABELLED = 50
N_LINES = 300


def raw_text(language: str, seed: int = 1) -> str:
    """Lines of two to four sentences, as they stand in a raw file."""
    draw = random.Random(f"{language}/{seed}")
    invented = LANGUAGES[language]
    lines = (
        invented.between.join(_sentence(invented, draw)[0] for _ in range(draw.randint(2, 4))) for _ in range(N_LINES)
    )
    return "".join(f"{line}\n" for line in lines)


def labelled(language: str, seed: int = 1) -> str:
    """Labelled sentences, JSONL with offsets."""
    draw = random.Random(f"{language}/labelled/{seed}")
    units = (_sentence(LANGUAGES[language], draw) for _ in range(N_LABELLED))
    return "".join(
        json.dumps({"text": text, "entities": entities}, ensure_ascii=False) + "\n" for text, entities in units
    )


def _sentence(invented: Invented, draw: random.Random) -> tuple[str, list[dict[str, object]]]:
    if draw.random() < 0.2:
        return draw.choice(invented.plain.split(";")), []
    text = ""
    entities: list[dict[str, object]] = []
    for part in re.split(r"(?<![A-Za-z])([PL])(?![A-Za-z])", draw.choice(invented.named.split(";"))):
        if part in ("P", "L"):
            label, names = ("PER", invented.people) if part == "P" else ("LOC", invented.places)
            name = draw.choice(names.split(";"))
            entities.append({"start": len(text), "end": len(text) + len(name), "label": label})
            text += name
        else:
            text += part
    return text, entities
