"""The codes by which translation models know our languages.

NLLB has those of FLORES-200 (`deu_Latn`), M2M-100 two letters (`__de__`), MADLAD-400 a mark before the text (`<2de>`),
and a Marian model of several targets another one (`>>deu<<`). Which codes a model has, its vocabulary says; the tables
say only what a language may be called. A region (`pt_BR`) is no code of a language: it must be mapped by the user.
"""

from collections.abc import Collection, Sequence

from conan_data.errors import UserError
from conan_data.language.labels import read_scripted_label

_TABLE = """
af afr_Latn am amh_Ethi ar arb_Arab as asm_Beng az azj_Latn be bel_Cyrl bg bul_Cyrl bn ben_Beng
bo bod_Tibt bs bos_Latn ca cat_Latn ckb ckb_Arab cs ces_Latn cy cym_Latn da dan_Latn de deu_Latn
el ell_Grek en eng_Latn eo epo_Latn es spa_Latn et est_Latn eu eus_Latn fa pes_Arab fi fin_Latn
fr fra_Latn ga gle_Latn gl glg_Latn gu guj_Gujr ha hau_Latn he heb_Hebr hi hin_Deva hr hrv_Latn
ht hat_Latn hu hun_Latn hy hye_Armn id ind_Latn ig ibo_Latn is isl_Latn it ita_Latn ja jpn_Jpan
jv jav_Latn ka kat_Geor kk kaz_Cyrl km khm_Khmr kn kan_Knda ko kor_Hang ku kmr_Latn ky kir_Cyrl
lb ltz_Latn lg lug_Latn ln lin_Latn lo lao_Laoo lt lit_Latn lv lvs_Latn mg plt_Latn mi mri_Latn
mk mkd_Cyrl ml mal_Mlym mn khk_Cyrl mr mar_Deva ms zsm_Latn mt mlt_Latn my mya_Mymr ne npi_Deva
nl nld_Latn nn nno_Latn no nob_Latn ny nya_Latn oc oci_Latn om gaz_Latn or ory_Orya pa pan_Guru
pl pol_Latn ps pbt_Arab pt por_Latn ro ron_Latn ru rus_Cyrl rw kin_Latn sd snd_Arab si sin_Sinh
sk slk_Latn sl slv_Latn sm smo_Latn sn sna_Latn so som_Latn sq als_Latn sr srp_Cyrl st sot_Latn
su sun_Latn sv swe_Latn sw swh_Latn ta tam_Taml te tel_Telu tg tgk_Cyrl th tha_Thai ti tir_Ethi
tk tuk_Latn tl tgl_Latn tr tur_Latn tt tat_Cyrl ug uig_Arab uk ukr_Cyrl ur urd_Arab uz uzn_Latn
vi vie_Latn xh xho_Latn yi ydd_Hebr yo yor_Latn yue yue_Hant zh zho_Hans zh-Hans zho_Hans
zh-Hant zho_Hant zu zul_Latn
"""
_CODES = _TABLE.split()
FLORES = dict(zip(_CODES[::2], _CODES[1::2]))
"""Our labels to FLORES-200, as `read_scripted_label` gives them."""
_OTHER_NAMES = {
    "he": ("iw",),
    "tl": ("fil",),
    "no": ("nb",),
    "jv": ("jw",),
    "id": ("in",),
    "zh": ("cmn_Hans", "cmn"),
}
_OF_SCRIPTS = {"zh-Hans": ("zh_Hans", "zh", "cmn_Hans"), "zh-Hant": ("zh_Hant", "zh_TW", "cmn_Hant")}


def code_of(language: str, known: Collection[str], *, field: str, model: str) -> str:
    """Return the code in `known` of one of our languages; raises `UserError` for a language that is not among them."""
    found = next((code for code in candidates(language) if code in known), None)
    if found is None:
        shown = ", ".join(sorted(known)[:8])
        raise UserError(
            f"{field}: {model} has no code for {language!r}; it knows {len(known)} ({shown}, ...): leave the language "
            f"out, or give its code by seq2seq.languages, such as {{{language}: CODE}}"
        )
    return found


def candidates(language: str) -> Sequence[str]:
    """Return what one of our languages may be called, the most exact first."""
    written = language.replace("-", "_")
    label = read_scripted_label(language)
    exact = (written, written.lower())
    if label in _OF_SCRIPTS:
        return (FLORES[label], *_OF_SCRIPTS[label], *exact)
    if "_" in written:
        return exact
    flores = (FLORES[label], FLORES[label].split("_")[0]) if label in FLORES else ()
    return (*flores, label, *_OTHER_NAMES.get(label, ()), *exact)
