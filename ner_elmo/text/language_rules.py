"""What the languages' tokenizers know of each language: abbreviations, ordinals, elisions, clitics.

A change here changes what a kind of text means: count :data:`ner_elmo.text.language_kinds.RULES` up with it.
"""

from __future__ import annotations

from dataclasses import dataclass

_ORDINAL_CODES = "da nb nn no fi et lv cs sk pl hr sr bs sl hu is fo tr de lb hsb dsb gsw bar"
_WITH_ORDINALS = frozenset(_ORDINAL_CODES.split())

# Abbreviations after which no sentence ends: titles, and what stands before a name or a number.
_LEADING = {
    "de": "Dr Prof Hr Fr Frl St Nr Dipl Ing Bd Art Abs Kap Abb Tab Nrn vgl bzw ca z geb gest ehem sog Mag Hl hl evtl"
    " ggf inkl exkl zzgl Bf Hbf Str lat engl frz griech dt",
    "fr": "M MM Mme Mlle Mmes Mlles Dr Pr Me Mgr St Ste p pp n no vol art chap fig éd env cf av ap bd Cie tél",
    "es": "Sr Sra Srta Sres Dr Dra D Dña Prof Ud Uds Vd St Sto Sta Gral Cnel Lic Ing Arq Av Avda p pp pág págs núm art"
    " cap vol ed tel Excmo Fco Ma Hnos Cd Pbro Lcdo Mtro",
    "it": "Sig Sigg Dott Prof Ing Avv Arch Geom On Sen S p pp pag pagg n art artt cap vol ed tel v cfr Egr Spett Ill",
    "pt": "Sr Sra Srs Dr Dra Prof Profa Eng Gen Cel Cap D Exmo Av R p pp pág págs núm art cap vol ed tel",
    "ca": "Sr Sra Dr Dra Prof St Sta Av pàg núm art cap vol ed tel",
    "nl": "dhr mevr mw dr drs prof ir ing mr St nr blz bijv bv resp ca vgl",
    "sv": "dr prof st nr kap s bl ca jfr d t",
    "da": "hr fru dr prof st nr kap s bl ca jf f",
    "nb": "hr fru dr prof st nr kap s bl ca jf f",
    "fi": "prof tri nro n s ns ks esim mm ent",
    "pl": "dr prof mgr inż ks św gen płk mjr kpt por p pp pan nr ul al pl im tzw tj np ok por red wyd woj pow gm",
    "cs": "dr prof doc ing mgr p pí sv gen plk č čís str ul nám tř tzv např tj resp cca kap sv",
    "sk": "dr prof doc ing mgr p sv gen plk č čís str ul nám tzv napr tj resp cca kap",
    "sl": "dr prof mag ing g ga gdč sv gen št str ul oz npr tj t",
    "hr": "dr prof mr ing g gđa sv gen br str ul npr tj tzv",
    "ru": "г гг ул д кв стр им проф акад доц ген полк св пл пер просп пр бул р руб коп тыс ст п пп рис табл гл см ср"
    " напр т о оз гр гос род в вв",
    "uk": "м вул буд кв стор ім проф акад доц ген полк св пл пров просп бул грн коп тис ст п рис табл гл див напр р рр"
    " о оз гр",
    "be": "г вул д кв ім праф акад ген св пл",
    "bg": "г ул бул кв проф акад доц ген полк св пл стр чл ал инж д-р г-н г-жа",
    "sr": "др проф мр инж г св ген бр стр ул нпр тј тзв dr prof mr ing g sv gen br str ul npr tj tzv",
    "ro": "dl dna dr prof ing st sf gen col nr pag str bd art cap vol",
    "hu": "dr prof ifj id Szt özv br gr sz pl kb u ún",
    "tr": "Dr Prof Doç Av Sn Sok Cad Mah No s bkz vb yy",
    "el": "κ κα κκ δρ καθ αγ σελ αρ οδ βλ π λ",
    "ar": "د أ م ص ج ه ق ت",
    "hi": "डॉ श्री पं प्रो मो कु सं नं रु",
    "mr": "डॉ श्री पं प्रो सौ कु सं नं रु",
    "ne": "डा श्री पं प्रा कु सं नं रु",
    "bn": "ডা ড মো মি প্রফেসর সং নং",
    "ta": "திரு டாக்டர்",
    "fa": "دکتر",
    "id": "dr Dr Drs Ir Prof Bp Tn Ny Jl No H Hj hlm",
    "vi": "TS ThS GS PGS BS KS TP Q P",
    "lt": "dr prof g pr pan m",
    "lv": "dr prof g nr lpp",
    "et": "dr prof hr pr nr lk",
    "ga": "Dr An tUas lch",
    "cy": "Dr Mr Mrs t",
    "en": "Mr Mrs Ms Dr St Prof Rev Gen Col Capt Lt Sgt Gov Sen Rep No",
}
# Abbreviations that end a sentence where a capital follows (not in German, whose nouns have capitals).
_TRAILING = {
    "de": "usw etc u.a.m u.ä Mio Mrd Jh Chr Std Min Sek Mill Tsd Kfz bzgl Co",
    "fr": "etc Jr",
    "es": "etc S.A S.L a.C d.C",
    "it": "ecc etc",
    "pt": "etc",
    "ca": "etc",
    "nl": "enz etc e.d",
    "sv": "osv etc m.m o.d kl",
    "da": "osv etc m.m o.l kl mio mia",
    "nb": "osv etc m.m o.l kl mill",
    "pl": "itd itp tys mln mld zł w r godz",
    "cs": "atd apod tis mil mld hod",
    "sk": "atď apod tis mil mld hod",
    "sl": "itd ipd tis",
    "hr": "itd tis mil",
    "sr": "итд itd хиљ",
    "ru": "т.д т.п др пр",
    "uk": "т.д т.п ін",
    "bg": "т.н др",
    "ro": "etc ș.a",
    "hu": "stb",
    "tr": "vs vd",
    "el": "κλπ κ.λπ κτλ",
    "id": "dll dsb",
    "en": "etc",
}
_MONTHS = {
    "de": "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jan Feb Mär Apr"
    " Jun Jul Aug Sep Sept Okt Nov Dez Jahrhundert Jh Jahrtausend",
}
# German has capitals everywhere: a number with a stop is an ordinal after one of these.
_BEFORE_ORDINALS = {
    "de": "der die das den dem des am im vom zum beim zur ins bis jeder jede jedes und seit ab nach mein sein ihr ihre"
    " seine seinen ihren einem einen unser dieser dieses jenes",
    "lb": "den de der dat am vum zum",
}

_FRENCH = "c d j l m n s t qu jusqu lorsqu puisqu quoiqu"
_ITALIAN = (
    "l gl un d c m t s v n ch dell all dall nell sull coll quell quest bell sant com cos dov anch tutt senz mezz nessun"
    " ciascun alcun buon grand pover fors quant quand"
)
_ELIDED = {
    "fr": _FRENCH, "wa": _FRENCH, "pcd": _FRENCH, "frp": _FRENCH, "ht": "",
    "it": _ITALIAN, "co": _ITALIAN, "scn": _ITALIAN, "lij": _ITALIAN, "vec": _ITALIAN, "nap": _ITALIAN,
    "pms": _ITALIAN, "lmo": _ITALIAN, "fur": "l d un c", "sc": "s l d",
    "ca": "l d m t s n", "oc": "l d m t s n qu", "ast": "l d n", "an": "l d", "pt": "d", "gl": "d",
    "lb": "d", "ga": "d b m", "gd": "dh b m", "rm": "l d s", "eo": "l",
}  # fmt: skip
# What is cut off the end of a word: pronouns after a French verb, suffixes after a Turkish name.
_FRENCH_CLITIC = r"(?:-t)?-(?:il|elle|on|ils|elles)|-(?:je|tu|nous|vous|ce|moi|toi|lui|leur|le|la|les|y|en)"
_CLITICS = {
    "fr": _FRENCH_CLITIC,
    "ca": r"['’](?:l|n|m|t|s|ls|ns|hi|ho|ne)",
    "tr": r"['’][^\W\d_]+",
    "az": r"['’][^\W\d_]+",
}
# Words that only look as if they had one of these.
_WHOLE = {
    "fr": "rendez-vous garde-à-vous quelqu'un aujourd'hui presqu'île chez-vous chez-nous sauve-qui-peut",
    "ca": "",
    "it": "po' mo' be' va' fa' sta' da' di' ca' de'",
}
# Abbreviated units: after a number, before a capital, they end a sentence that began well before.
_UNITS = {
    "ru": "г гг в вв руб коп тыс",
    "uk": "р рр в грн коп тис",
    "be": "г",
    "bg": "г",
}
# Words that sentencex takes for abbreviations, and that stand at a sentence's end as words.
_WORDS = {
    "de": "mich mag Miss ok",
    "es": "no nos bien para sobre entre contra tras auto mar super extra mini micro mega ultra poli homo km kg cm mm",
    "ca": "no nos sobre entre contra mar dir fil super auto ultra extra para km kg cm mm",
    "it": "via mai no ha fa va so sa se ne mi ti ci vi te me re tu nato mar ore sai fai dai pos post tv cd dvd km kg"
    " cm mm bar film file fin mica set max spot raid auto files fans long top ama grano fasi pil sms spa dia sia ira"
    " nodo targa radar laser vip bot pass luna lan iron class tese cime pie arte pin bit pc mod iva soli mile"
    " mesa",
    "pt": "vi km kg cm mm",
    "nl": "dat me pas best hand vol top ver it red pan lat",
    "da": "med var da til din del par form nord bio vær sort nat red san rest pass km till lin temp ned tv",
    "fi": "san par dos mm",
    "pl": "port gal",
    "cs": "tu co no viď kol",
    "ru": "см кг мин сек муж",
    "uk": "см кг мм хв вид град",
}
# Of these sentencex has a list of its own; for the others it has the English one.
_OWN_ABBREVIATIONS = (
    "ab am an ast av ay ba bg bm ca ce co cs csb cv da es ext fi fr frp fur gl gn ht inh it kab kk kl krc kv lad lez li"
    " lij lmo ln mdf mg mhr mrj mwl myv nah nap nds nl oc olo os pcd pl pms pt qu ru rue sah scn sg sk smn szl tet tt"
    " ty tyv udm uk vec vls wa wo xal de lb bar gsw als ksh stq dsb hsb en sco"
)
# Signs within a word, besides those that all languages have.
_WITHIN = {"sv": ":", "fi": ":", "he": '"״׳', "yi": '"״׳', "ca": "·•"}


@dataclass(frozen=True)
class LanguageRules:
    """What is known of one language; the abbreviations are without their stop.

    Attributes:
        leading: after these no sentence ends.
        trailing: after these a sentence ends before a capital, where ``capitals_begin``.
        elided: words that lose their vowel before another word, and are a token with their apostrophe.
        clitic: a pattern of what is a token of its own at the end of a word.
        whole: words without elision or clitic although they look so.
        units: abbreviations that end a sentence after a number and before a capital.
        words: those that sentencex takes for abbreviations and that are words.
        foreign_abbreviations: whether sentencex knows those of English in place of the language's.
        within: signs that stand within a word.
        ordinals: whether a number with a stop is one.
    """

    leading: tuple[str, ...] = ()
    trailing: tuple[str, ...] = ()
    elided: tuple[str, ...] = ()
    clitic: str = ""
    whole: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    foreign_abbreviations: bool = False
    within: str = ""
    ordinals: bool = False
    months: frozenset[str] = frozenset()
    before_ordinals: frozenset[str] = frozenset()
    capitals_begin: bool = True


# Written with the same abbreviations as another.
_AS = {
    "nn": "nb", "no": "nb", "bs": "hr", "lb": "de", "gsw": "de", "bar": "de", "nds": "de", "ast": "es", "gl": "pt",
    "oc": "ca", "an": "es", "af": "nl", "fy": "nl", "ms": "id", "rue": "uk", "mk": "bg", "wa": "fr", "co": "it",
    "scn": "it", "vec": "it", "bho": "hi", "mai": "hi", "awa": "hi", "sa": "hi", "as": "bn", "az": "tr", "kk": "ru",
    "ky": "ru", "tt": "ru", "ba": "ru", "cv": "ru", "sah": "ru", "tg": "ru", "fo": "da", "is": "da", "sco": "en",
    "grc": "el", "hsb": "cs", "dsb": "cs", "szl": "pl", "csb": "pl",
}  # fmt: skip


def rules_of(code: str) -> LanguageRules:
    """The rules of a language; none where nothing is known of it."""
    near = _AS.get(code, code)

    def listed(table: dict[str, str]) -> tuple[str, ...]:
        return tuple(table.get(code, table.get(near, "")).split())

    return LanguageRules(
        leading=listed(_LEADING),
        trailing=listed(_TRAILING),
        elided=tuple(_ELIDED.get(code, "").split()),
        clitic=_CLITICS.get(code, ""),
        whole=tuple(_WHOLE.get(code, "").split()),
        units=listed(_UNITS),
        words=frozenset(listed(_WORDS)),
        foreign_abbreviations=code not in _OWN_ABBREVIATIONS.split() and bool(listed(_LEADING)),
        within=_WITHIN.get(code, ""),
        ordinals=code in _WITH_ORDINALS,
        months=frozenset(listed(_MONTHS)),
        before_ordinals=frozenset(listed(_BEFORE_ORDINALS)),
        capitals_begin=near not in ("de",),
    )
