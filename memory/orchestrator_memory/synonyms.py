"""Other words for the same, in machine learning, statistics and the work around them.

A line is a group of words, or of words that stand together, that people use for one thing. A question that has one of
them is also answered, for less, by what has another. The list is small on purpose: words that merely go together are
none.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = ["GROUPS", "LONGEST", "others", "root"]

LINES = """
leakage | leak | leaky | data leakage | target leakage | information from the future
overfitting | overfit | high variance | memorized | memorised | does not generalize
underfitting | underfit | high bias | too simple
imbalance | imbalanced | unbalanced | skewed classes | rare class | minority class | class ratio
outlier | outliers | extreme value | anomaly | anomalous
missing | null | nan | absent | na | incomplete
imputation | impute | imputer | fill in | filled | filling
duplicate | duplicated | repeated rows | double rows | dedup | deduplication
drift | shift | distribution changed | psi | population stability
concept drift | relationship changed | decay | degraded over time | stale model
classification | classifier | classify
regression | regressor
clustering | cluster | kmeans | k-means | segment | segmentation
dimensionality reduction | pca | principal components | umap | tsne | embedding projection
categorical | nominal | category | categories | discrete
numeric | numerical | continuous
encoding | encoder | one-hot | one hot | onehot | dummy variables | dummies
target encoding | mean encoding | likelihood encoding | target statistics
high cardinality | many categories | many levels | rare levels
scaling | scaler | standardize | standardization | normalize | normalization | z-score
log transform | logarithm | log1p | log-transformed
binning | bins | discretize | bucket | buckets | quantiles
feature | features | column | columns | variable | predictor | attribute | input
feature engineering | derived features | new features | constructed features
feature selection | drop features | dropped columns | pruned features | fewer columns
feature importance | permutation importance | shap | attribution | explanation | which features matter
target | label | labels | outcome | response | ground truth
prediction | predict | predicted | inference | scoring | forecast
probability | probabilities | predicted risk | confidence score
calibration | calibrated | calibrate | isotonic | platt | sigmoid calibration | reliability | ece
threshold | cutoff | cut-off | operating point | decision boundary
split | holdout | hold-out | held-out | test set | train test split | partition
cross-validation | cross validation | cv | folds | k-fold | kfold
grouped split | group k-fold | groupkfold | split by group | by customer
time split | temporal split | time-based split | forward chaining | walk-forward | rolling origin | backtest
stratified | stratify | stratification
baseline | dummy | naive model | majority class | reference model | constant prediction
auc | roc auc | auroc | area under the curve | area under roc | roc_auc
pr auc | average precision | precision-recall | auprc | precision recall curve
accuracy | share correct | hit rate
f1 | f-score | f measure | f1 score
precision | positive predictive value | ppv | false positives | false alarms
recall | sensitivity | true positive rate | tpr | missed cases | false negatives
specificity | true negative rate | tnr
false positive rate | fpr | type i error | fall-out
log loss | logloss | cross-entropy | cross entropy | negative log likelihood
brier | brier score | mean squared error of probabilities
rmse | root mean squared error | mse | squared error
mae | mean absolute error | absolute error
mape | smape | percentage error | relative error
r2 | r squared | r-squared | explained variance | coefficient of determination
quantile loss | pinball | pinball loss
metric | measure | kpi | score
confidence interval | ci | bootstrap | uncertainty | error bars | standard error | margin
prediction interval | conformal | coverage | quantile regression
significance | significant | p-value | pvalue | hypothesis test | noise | by chance
effect size | lift | uplift | improvement | gain
a/b test | ab test | experiment | randomized | controlled trial | canary test
causal | treatment effect | confounder | confounding | instrumental
correlation | correlated | collinear | collinearity | multicollinearity | redundant features | vif
mutual information | dependence | association
gradient boosting | boosting | xgboost | lightgbm | gbm | gbdt | hist gradient boosting | catboost | boosted trees
random forest | forest | extra trees | bagging | tree ensemble
decision tree | tree | cart
linear model | logistic regression | linear regression | ridge | lasso | elastic net | glm
svm | support vector | kernel machine
nearest neighbours | knn | k-nn | nearest neighbors
neural network | mlp | deep learning | neural net | dnn | network
transformer | bert | language model | llm
ensemble | stacking | blending | voting | averaging | combination of models
regularization | regularisation | penalty | l1 | l2 | weight decay | shrinkage
dropout | noise injection
early stopping | stopped early | patience
learning rate | step size | lr | eta | shrinkage rate
depth | max depth | max_depth | tree depth | deep trees
trees | n_estimators | iterations | boosting rounds | max_iter
batch size | minibatch | mini-batch
epoch | epochs | passes over the data
optimizer | adam | sgd | gradient descent
hyperparameter | hyperparameters | hyper-parameter | tuning | hpo | hyperparameter search | parameter search
search space | ranges | grid
optuna | tpe | bayesian optimization | random search | grid search
trial | trials | configurations tried
pruning | prune | hyperband | successive halving | asha
seed | random state | random_state | reproducible | reproducibility | determinism | deterministic
class weights | class_weight | weighted | sample weight | reweighting | cost-sensitive
oversampling | smote | undersampling | resampling | rebalancing
augmentation | augment | synthetic data
transfer learning | fine-tune | fine-tuning | finetuning | pretrained | pre-trained
distillation | distill | teacher | compress | quantization | quantize
embedding | embeddings | vector | dense representation
tokenization | tokenizer | tokens | vocabulary
tf-idf | tfidf | bag of words | word counts | ngrams | n-grams
text | free text | language | nlp | documents
image | images | vision | pictures
time series | timeseries | temporal | sequence
seasonality | seasonal | weekly pattern | yearly | holiday | periodic
lag | lags | lagged | previous values | rolling mean | moving average | window features
horizon | steps ahead | lead time
anomaly detection | outlier detection | isolation forest | novelty
fraud | fraudulent | chargeback
churn | attrition | cancel | cancellation | retention | leaving customers
recommendation | recommender | ranking | learning to rank | collaborative filtering
fairness | bias | disparate impact | demographic parity | equalized odds | discrimination | protected group
privacy | personal data | pii | gdpr | anonymize | differential privacy
interpretable | interpretability | explainable | explainability | transparent
monitoring | monitor | observability | watch | alerting | alerts | alarm
deployment | deploy | deployed | release | rollout | ship | production | go live | serving
rollback | roll back | revert | restore previous | undo
canary | gradual rollout | shadow | shadow traffic | blue-green | staged rollout
champion | challenger | current model | incumbent | production model
registry | registered | model version | versions | alias | promoted | promotion
latency | response time | slow requests | p95 | p99 | milliseconds | speed
throughput | requests per second | rps | qps
memory usage | ram | out of memory | oom | memory limit | memory error
gpu | cuda | accelerator | graphics card
cpu | processor | cores | threads
parallel | parallelism | concurrency | workers | n_jobs | distributed
timeout | timed out | time limit | deadline | budget
slow | slowness | takes long | bottleneck | performance problem | runtime | duration
cost | price | expensive | spend | budget in dollars
cache | caching | cached | memoize
retry | retries | tried again | flaky | transient failure
pipeline | workflow | dag | etl | job
schedule | cron | nightly | daily job | scheduled
ingestion | ingest | load | loading | import | extract
schema | column types | dtypes | data contract | types
validation | validate | data quality | checks | expectations | constraints
parquet | arrow | columnar
csv | delimiter | separator | comma separated | encoding of the file
join | merge | lookup | enrich
warehouse | bigquery | snowflake | database | sql | postgres
feature store | feast | online features | point-in-time
lineage | provenance | origin | traceability
stale | outdated | old data | freshness | late data | delay
timezone | time zone | utc | daylight saving
date | timestamp | datetime | time column
retrain | retraining | refit | refresh the model | update the model | train again
training | train | fit | fitted
experiment tracking | mlflow | tracking | runs
artifact | artifacts | model file | saved model | serialized
credentials | secret | password | token | api key
docker | container | image build | kubernetes | pod | k8s
bug | defect | error | mistake | wrong | broken | failure | failed
fix | fixed | solution | solved | resolved | workaround | remedy
decision | decided | chose | choice | agreed | policy
reason | rationale | because of | motivation
best | winner | won | top | highest
worse | lower score | dropped | decline | regressed | degradation
better | improved | higher score | beat | outperform | outperformed
"""
GROUPS = tuple(tuple(part.strip() for part in line.split("|")) for line in LINES.strip().splitlines())
LONGEST = 4
"""Words of the longest entry that is looked for in a question."""
ENDINGS = re.compile(r"(?:ations?|ing|ed|es|s|e)$")
SHORT = 4
READ = 4000
"""Characters of a question that are read."""
WORDS = re.compile(r"[^\W_]+")


def root(word: str) -> str:
    """Return a word without its ending, so that forms of one word are found under one entry."""
    bare = ENDINGS.sub("", word)
    return bare if len(bare) >= SHORT else word


@cache
def _entries() -> dict[tuple[str, ...], dict[str, None]]:
    entries: dict[tuple[str, ...], dict[str, None]] = {}
    for group in GROUPS:
        for phrase in group:
            key = tuple(root(word) for word in WORDS.findall(phrase.lower()))
            same = {one: None for one in group if one != phrase}
            entries[key] = entries.get(key, {}) | same
    return entries


def others(question: str) -> dict[str, list[str]]:
    """Return other words for what a question says, each with the words of the question that it stands for."""
    words = WORDS.findall(question[:READ].lower())
    roots = [root(word) for word in words]
    found: dict[str, list[str]] = {}
    for start in range(len(words)):
        for size in range(min(LONGEST, len(words) - start), 0, -1):
            same = _entries().get(tuple(roots[start : start + size]))
            if same:
                for one in same:
                    found.setdefault(one, words[start : start + size])
    return found
