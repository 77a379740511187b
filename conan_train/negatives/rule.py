"""The rule of dynamic hard negative mining: which negatives have become easy. It costs nothing, for the loss
has computed the scores already.

With S_0 the cosine of a query and its negative when that was chosen, and S_i today's (Conan-embedding-v2,
section on DHNM):

    replace  if  S_0 < floor,  or if  ratio * S_i < S_0  and  S_i < ceiling;   keep otherwise.

Conan-embedding-v1 had no floor, and replaced a query's n negatives together. Its paper leaves open what the score of
several negatives is; here it is their mean. The same holds of a step: only the queries of a step have scores, so
"every 100 steps" means those of every hundredth.
"""

import numpy as np

from conan_train.negatives.config import RuleConfig

# B queries of a step, N negatives a query


def has_become_easy(chosen_score_BN: np.ndarray, score_BN: np.ndarray, rule: RuleConfig) -> np.ndarray:
    """bool [B, N] from S_0 and S_i (cosines). Where either is NaN there is no negative, and nothing to
    replace.
    """
    present_BN = ~(np.isnan(chosen_score_BN) | np.isnan(score_BN))
    if rule.version == "v1":
        num_B = np.maximum(present_BN.sum(1), 1)
        chosen_B = np.where(present_BN, chosen_score_BN, 0).sum(1) / num_B
        now_B = np.where(present_BN, score_BN, 0).sum(1) / num_B
        return present_BN & ((rule.fall * now_B < chosen_B) & (now_B < rule.top))[:, None]
    started_easy_BN = chosen_score_BN < rule.floor
    has_fallen_BN = (rule.fall * score_BN < chosen_score_BN) & (score_BN < rule.top)
    return present_BN & (started_easy_BN | has_fallen_BN)
