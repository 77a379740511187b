"""The rule of dynamic hard negative mining: which negatives have become easy. It costs nothing, for the loss
has computed the scores already.

With S_0 the cosine of a query and its negative when that was chosen, and S_i today's (Conan-embedding-v2,
section on DHNM):

    replace  if  S_0 < floor,  or if  ratio * S_i < S_0  and  S_i < ceiling;   keep otherwise.
"""

import numpy as np

from conan_train.negatives.config import RuleConfig

# B queries of a step, N negatives a query


def has_become_easy(chosen_score_BN: np.ndarray, score_BN: np.ndarray, rule: RuleConfig) -> np.ndarray:
    """bool [B, N] from S_0 and S_i (cosines). Where either is NaN there is no negative, and nothing to
    replace.
    """
    present_BN = ~(np.isnan(chosen_score_BN) | np.isnan(score_BN))
    started_easy_BN = chosen_score_BN < rule.floor
    has_fallen_BN = (rule.ratio * score_BN < chosen_score_BN) & (score_BN < rule.ceiling)
    return present_BN & (started_easy_BN | has_fallen_BN)
