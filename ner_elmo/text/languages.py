"""Languages: their codes, their scripts, and which one a text looks to be written in.

A script says much by itself (kana are Japanese); where many languages share one, the commonest small words decide.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

# ISO 639-1, and languages without two letters that have much text.
_CODES = (
    "aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv "
    "ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd "
    "ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr "
    "ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu als ang "
    "arz ast awa bar bcl bho bjn bug ceb ckb csb dsb diq ext fil frp frr fur gag gan gom got grc gsw hak haw hsb "
    "ilo inh kab kbd krc ksh lad lez lij lmo lrc ltg lzh mai mdf mhr min mrj mwl myv mzn nah nap nds new nov nso "
    "olo pag pam pap pcd pdc pms pnb rue sah sat scn sco shn skr smn sms stq szl tcy tet tyv udm vec vep vls vro "
    "war wuu xal xmf yue zea"
)
CODES = frozenset(_CODES.split())


# Scripts --------------------------------------------------------------------------------------------------------------

# First and last code point of the blocks that hold a script's letters. What is left out is rare.
_BLOCKS = {
    "Latin": "0041-005A 0061-007A 00AA 00BA 00C0-024F 1E00-1EFF 2C60-2C7F A720-A7FF FF21-FF3A FF41-FF5A",
    "Greek": "0370-03FF 1F00-1FFF",
    "Cyrillic": "0400-052F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "Armenian": "0531-058F",
    "Hebrew": "05D0-05F4",
    "Arabic": "0620-06FF 0750-077F 08A0-08FF FB50-FDFF FE70-FEFC",
    "Syriac": "0710-074F",
    "Thaana": "0780-07BF",
    "Devanagari": "0900-097F A8E0-A8FF",
    "Bengali": "0980-09FF",
    "Gurmukhi": "0A00-0A7F",
    "Gujarati": "0A80-0AFF",
    "Oriya": "0B00-0B7F",
    "Tamil": "0B80-0BFF",
    "Telugu": "0C00-0C7F",
    "Kannada": "0C80-0CFF",
    "Malayalam": "0D00-0D7F",
    "Sinhala": "0D80-0DFF",
    "Thai": "0E00-0E7F",
    "Lao": "0E80-0EFF",
    "Tibetan": "0F00-0FFF",
    "Myanmar": "1000-109F A9E0-A9FF AA60-AA7F",
    "Georgian": "10A0-10FF 1C90-1CBF",
    "Hangul": "1100-11FF 3130-318F A960-A97F AC00-D7FF",
    "Ethiopic": "1200-139F 2D80-2DDF",
    "Khmer": "1780-17FF",
    "Mongolian": "1800-18AF",
    "Kana": "3041-30FF 31F0-31FF FF66-FF9F",
    "Han": "3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFF",
}
_RANGES = sorted(
    (int(part.split("-")[0], 16), int(part.split("-")[-1], 16), name)
    for name, parts in _BLOCKS.items()
    for part in parts.split()
)
_FIRSTS = [first for first, _, _ in _RANGES]


def script_of(character: str) -> str | None:
    """The script of a letter; None for digits, punctuation and letters of rare scripts."""
    code = ord(character)
    at = bisect.bisect_right(_FIRSTS, code) - 1
    return _RANGES[at][2] if at >= 0 and code <= _RANGES[at][1] and character.isalpha() else None


def scripts(texts: Iterable[str]) -> Counter[str]:
    """How many letters there are of each script."""
    letters: Counter[str] = Counter()
    for text in texts:
        letters.update(text)
    found: Counter[str] = Counter()
    for letter, number in letters.items():
        if script := script_of(letter):
            found[script] += number
    return found


# The scripts that a language is written in; Latin where nothing is said.
_SCRIPTS_OF = {
    "Cyrillic": "ab av ba be bg ce cu cv inh kbd kk krc kv ky lez mdf mhr mk mn mrj myv os ru rue sah sr tg tt tyv udm"
    " uk uz xal bs",
    "Greek": "el grc",
    "Armenian": "hy",
    "Hebrew": "he yi lad",
    "Arabic": "ar arz fa ckb ku ks lrc mzn pnb ps sd skr ug ur az kk ms pa uz ky tg ha",
    "Thaana": "dv",
    "Devanagari": "hi mr ne sa new mai bho awa gom ks pi sd",
    "Bengali": "bn as",
    "Gurmukhi": "pa",
    "Gujarati": "gu",
    "Oriya": "or",
    "Tamil": "ta",
    "Telugu": "te",
    "Kannada": "kn tcy",
    "Malayalam": "ml",
    "Sinhala": "si",
    "Thai": "th",
    "Lao": "lo",
    "Tibetan": "bo dz",
    "Myanmar": "my shn",
    "Georgian": "ka xmf",
    "Hangul": "ko",
    "Ethiopic": "am ti",
    "Khmer": "km",
    "Mongolian": "mn",
    "Kana": "ja",
    "Han": "zh ja ko yue wuu lzh gan hak",
}
# Languages of the scripts above that are written in Latin letters, too, or mostly.
_LATIN_TOO = "sr bs az uz tk kk tt ku ms ha lad mn ug gom pi hak gan kv ky tg"
_ALSO_LATIN = frozenset(_LATIN_TOO.split())


def scripts_of(code: str) -> frozenset[str]:
    """The scripts that a language is written in."""
    found = {script for script, codes in _SCRIPTS_OF.items() if code in codes.split()}
    return frozenset(found | ({"Latin"} if not found or code in _ALSO_LATIN else set()))


# Where a script has one language, or one that most text is in.
_LANGUAGE_OF = {
    "Greek": "el",
    "Armenian": "hy",
    "Hebrew": "he",
    "Thaana": "dv",
    "Bengali": "bn",
    "Gurmukhi": "pa",
    "Gujarati": "gu",
    "Oriya": "or",
    "Tamil": "ta",
    "Telugu": "te",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Sinhala": "si",
    "Thai": "th",
    "Lao": "lo",
    "Tibetan": "bo",
    "Myanmar": "my",
    "Georgian": "ka",
    "Hangul": "ko",
    "Ethiopic": "am",
    "Khmer": "km",
    "Mongolian": "mn",
}


# Small words ----------------------------------------------------------------------------------------------------------

# The commonest small words of languages that share a script, those that others have, too, included: what counts is
# how many of all words they are.
_SMALL_WORDS = {
    "en": "the of and to in a is that for it was on with as be by at he from are this his an have not they which you"
    " had has but were been will she their or who",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er"
    " hat dass sie nach wird bei einer um am sind noch wie einem über war zum zur wurde",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec son"
    " aux été cette ou elle mais nous vous ses à l d",
    "es": "de la que el en y a los del se las por un para con no una su al lo como más pero sus le ya o este sí porque"
    " esta entre es era fue muy",
    "it": "di e il la che in a per un del è non sono una si da con della le i dei al come più ha lo nel alla ma gli"
    " delle su anche l dell era ed",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu"
    " sua ou ser são também pelo",
    "nl": "de van een het en in is dat op te zijn met voor niet aan er om ook als dan maar bij hij door naar uit wordt"
    " over die nog werd ze tot",
    "sv": "och i att en det som på är av för med till den har de inte om ett men var sig så vid han från då ut kan"
    " nu skulle också",
    "da": "og i at det er en til af på den som med for de ikke der et har fra var sig han men om vi ved kan blev efter"
    " også skal hun",
    "nb": "og i det er på som en til av å for at med de ikke den har om et var seg fra men han kan ble også etter ved"
    " skal vil hun",
    "fi": "ja on ei että se oli hän mutta joka kun ovat myös sen tai niin kuin ole hänen olla jos vuonna mukaan sekä"
    " jo nyt vain",
    "et": "ja on ei et see oli ka kui mis ta aga või oma kes seda ning siis nii selle välja olid pole veel",
    "pl": "w i na z się do nie że to jest o jak po co od za przez a ale są dla był tym tego przy jego ich oraz może"
    " który która",
    "cs": "a v se na že je to s z do o i ve by pro jako ale za po byl jsou který k od které která bylo podle jeho tak"
    " aby když",
    "sk": "a v sa na že je to s z do o aj vo by pre ako ale za po bol sú ktorý k od ktoré ktorá bolo podľa jeho tak"
    " aby keď nie",
    "sl": "in je v na se da za so z bi ki tudi po pa ne od s kot pri ob ter do iz ni bil bila med leta še",
    "hr": "i je u na se da za su od s a što bi koji kao o ne iz će do po nije biti ili samo koja kako bio još",
    "hu": "a az és hogy nem is egy ez van meg már volt csak de ha mint el még ki kell azt vagy szerint után lesz",
    "ro": "de și în a la cu pe nu care că din o un se este au mai pentru sau fi ca ce sunt fost după prin dar",
    "tr": "ve bir bu da de için ile o ne çok olarak olan daha gibi sonra kadar değil var ama en her ise dün mi",
    "vi": "và của là có cho được không người các trong một những với này đã để khi năm ra đến ở",
    "id": "yang dan di dengan untuk itu dari tidak ini dalam pada akan ke ada adalah oleh juga sebagai telah bisa",
    "ca": "de la i que el a en un per les del els amb una es no al com més va ser per són dels seva o l d",
    "eu": "eta da ez du bat dira zen zuen baina ere hau izan dute bere edo egin ditu baino arte",
    "lt": "ir į kad yra su iš tai o bet už ne jis kaip apie po buvo jo dar tik per nuo jau",
    "lv": "un ir ka ar no uz par tas bet kas lai arī kā nav pie bija viņš pēc to jau vai līdz",
    "sq": "në e të dhe për me një që nga i është se nuk ka u si ai më ishte por kjo janë",
    "la": "et in est non ad ut cum quod si sed qui de esse ab quae ex per sunt hoc eius",
    "eo": "la de kaj en estas al ne ke por li kun el sed mi oni ĝi ankaŭ kiel pri tiu",
    "ga": "an na agus a ar i is ag go le do bhí sé tá ní atá chuig sin seo leis",
    "cy": "y yn a i o ar yr mae ei fod wedi am oedd gan bod hefyd hwn nid fel ond",
    "af": "die en van in is het dat nie om te vir met op sy ook as was by hy aan word deur",
    "sw": "ya na wa kwa ni katika za la kuwa hii huo cha yake kama hiyo pia huyo lakini sana",
    "tl": "ng sa ang na at mga ay para ito siya ni si hindi kung may din",
    "ru": "и в не на что он с как а по это к но из у за от так его то о все она для бы был же до они был году",
    "uk": "і в не на що з та до як а за це від у по його про але для був він або також року є під вона їх при",
    "be": "і ў не на што з як да а гэта па за ад у для але быў ён яго або таксама гэты яна іх",
    "bg": "и в на да се за е от не с че по са като до но при след това или ще има което той си беше към",
    "sr": "и је у на се да за су од са а што би који као о не из ће до по није бити или само која",
    "mk": "и во на да се за е од не со дека што по како но при или ќе има тоа беше кој го",
    "kk": "және мен бір бұл да де үшін болып деп еді емес бар осы сол оның",
    "ar": "في من على إلى أن ما هذا عن مع التي الذي كان لا بعد هذه كما أو قال ذلك بين كل لم ثم ولا وقد وفي",
    "fa": "و در به از که این را با است برای آن یک می تا بر هم شد خود بود نیز اما کرد شده ها",
    "ur": "کے کی میں ہے اور کا سے کو نے کہ اس پر یہ ہیں نہیں تھا ایک بھی ہو جو کر گیا تھے",
    "ps": "د په او چې ته له کې دا هم یو سره نه دی شي کړي یې",
    "ckb": "لە و بۆ بە ئەو کە لەگەڵ ئەم دا نییە هەر",
    "hi": "के में है की और से को का ने कि यह पर हैं नहीं था एक भी हो जो कर गया थे इस वह तो",
    "mr": "आहे व आणि या हे ते की तो मध्ये होते होता एक नाही असे त्या त्यांनी हा ही",
    "ne": "र मा छ को ले का पनि यो गरेको हो छन् भने एक थियो गर्न लाई त्यो",
    "sa": "च न एव इति तु हि वा तत् अपि यथा सः",
}
_WORDS = {code: frozenset(words.split()) for code, words in _SMALL_WORDS.items()}
_WORD = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0900-\u0903\u093a-\u094f\u064b-\u0652]*")
_WORDS_LEAST = 8  # below which small words say nothing
_SHARE_LEAST = 0.12  # of words that are small words of the language
_AHEAD = 1.25  # times as many as of the next language


class Look(NamedTuple):
    """What a text looks like: the script of most of its letters, the share of them, and the language if one is clear.

    ``words`` is how many words of a sample the language was judged by.
    """

    script: str | None
    share: float
    language: str | None
    words: int = 0


def look_at(texts: Iterable[str], most_characters: int = 400_000) -> Look:
    """What the beginning of ``texts`` looks like."""
    taken: list[str] = []
    size = 0
    for text in texts:
        taken.append(text[: most_characters - size])
        size += len(text)
        if size >= most_characters:
            break
    found = scripts(taken)
    total = sum(found.values())
    if not total:
        return Look(None, 0.0, None)
    if 20 * found["Kana"] > found["Han"] + found["Kana"] > total / 2:
        return Look("Kana", (found["Kana"] + found["Han"]) / total, "ja")
    script, number = found.most_common(1)[0]
    if script == "Han":
        return Look(script, number / total, "zh")
    if script in _LANGUAGE_OF:
        return Look(script, number / total, _LANGUAGE_OF[script])
    language, n_words = _by_small_words(taken, script)
    return Look(script, number / total, language, n_words)


def _by_small_words(texts: Iterable[str], script: str) -> tuple[str | None, int]:
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_WORD.findall(text.lower()))
    n_words = sum(words.values())
    if n_words < _WORDS_LEAST:
        return None, n_words
    hits = sorted(
        (
            (sum(words[word] for word in small), code)
            for code, small in _WORDS.items()
            if script in scripts_of(code) and (script != "Latin" or code not in ("sr", "mn"))
        ),
        reverse=True,
    )
    if not hits or hits[0][0] < _SHARE_LEAST * n_words:
        return None, n_words
    if len(hits) > 1 and hits[0][0] < _AHEAD * hits[1][0]:
        return None, n_words
    return hits[0][1], n_words


# Languages so near each other that a short text does not tell them apart; the rules of one serve for the others.
_NEAR = (
    "da nb nn no;hr sr bs;cs sk;id ms;es gl ca ast oc an;de lb bar gsw nds;ru be uk rue;bg mk;hi mr ne bho mai awa sa"
    " new;nl af fy li;ar arz;fa ps mzn ckb ur;zh yue wuu lzh gan hak;fi et;it co scn lij vec nap pms;fr wa oc pcd;"
    "pt gl mwl;lt lv;en sco"
)


def are_near(one: str, other: str) -> bool:
    """Whether two codes are of one language or of neighbours."""
    return one == other or any({one, other} <= set(group.split()) for group in _NEAR.split(";"))
