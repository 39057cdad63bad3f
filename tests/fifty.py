"""The fifty components by tier; the sentence of each is its known answer, in words."""

from __future__ import annotations

__all__ = ["FIFTY"]

FIFTY: dict[int, dict[str, str]] = {
    1: {
        "training_data_loader": "Iris splits 10/10/10; planted leaks are found.",
        "ml_integration": "Scaled logistic regression on breast cancer scores .9807 over five folds.",
        "rule_optimizer": "ZDT1 reaches a hypervolume of .86.",
        "multi_armed_bandit": "Thompson sampling regrets less than UCB1, and UCB1 less than its bound.",
        "apriori_analyzer": "The example of Agrawal and Srikant has nine itemsets.",
        "batch_processor": "A batch that is killed goes on where it was, each item once.",
        "production_registry": "Promotion and rollback predict identically; a changed byte is detected.",
        "context_learner": "Two opposite contexts are told apart.",
        "clustering_optimizer": "HDBSCAN finds the moons, and KMeans does not.",
        "failure_analyzer": "A planted slice of failures is ranked first.",
        "dimensionality_reducer": "The components of iris explain .9246 and .0531 of the variance.",
    },
    2: {
        "insight_engine": "Collider, chain and diamond are discovered.",
        "rule_analyzer": "The eight schools have the published posterior.",
        "context_aware_weighter": "The five features of Friedman's problem weigh most.",
        "optimization_validator": "The corrected test holds its error under the null.",
        "advanced_pattern_discovery": "The database of the PrefixSpan paper has 53 patterns.",
        "llm_transformer": "Text comes from a model or not at all.",
        "automl_orchestrator": "Branin is solved better than by chance, also after a restart.",
        "automl_callbacks": "Patience 3 stops 5,4,3,3,3,3 after six trials.",
    },
    3: {
        "experiment_orchestrator": "A mismatch of sample ratios is detected.",
        "advanced_statistical_validator": "The 15 p-values of Benjamini and Hochberg leave four.",
        "causal_inference_analyzer": "Cattaneo's data give the published effects.",
        "pattern_significance_analyzer": "The lady tasting tea has 1/70 and 17/70.",
        "statistical_analyzer": "NIST's NumAcc4 has mean 10000000.2 and deviation .1.",
        "structural_analyzer": "The parts of the reference prompt are counted.",
        "domain_feature_extractor": "The guide's TF-IDF row comes out.",
        "linguistic_analyzer": "The cat sat on the mat scores 116.145.",
        "dependency_parser": "Heads are found on held-out sentences.",
        "domain_detector": "The textbook's naive Bayes example comes out.",
        "ner_extractor": "Entities with check digits are validated.",
    },
    4: {
        "advanced_ab_testing": "45/400 against 30/400 gives z 1.8194.",
        "canary_testing": "A bad canary is rolled back, a healthy one rarely.",
        "real_time_analytics": "A shift in a stream is detected, and none where there is none.",
        "analytics": "Wilson's interval of 8/10 is .4902 to .9433.",
        "monitoring": "Memory that was taken is seen.",
        "async_optimizer": "Ten of a hundred calls run at once.",
        "early_stopping": "Hyperband's brackets for 81 come out; halving finds a good one early.",
        "background_manager": "Planted failures are retried to success.",
    },
    5: {
        "model_manager": "The least recently used model is unloaded.",
        "enhanced_scorer": "Kappa and calibration error are those of the theory.",
        "prompt_enhancement": "A version is rebuilt from its lineage.",
        "redis_cache": "Fifty concurrent reads compute once.",
        "performance_validation": "McNemar of 121/59 gives 21.36; conformal sets cover what they say.",
        "performance_optimizer": "A planted slow function is found.",
    },
    6: {
        "adversarial_defense": "An attack on a linear model succeeds as often as its margin says.",
        "differential_privacy": "Noise has the stated variance, and an overspent budget is refused.",
        "federated_learning": "Sums over parts give the central solution.",
        "performance_benchmark": "Twice the work takes twice the time, with an interval.",
        "response_optimizer": "An answer fits its budget, and the pages join to the whole.",
        "automl_status": "The best value shown is the study's.",
    },
}
