import pytest


@pytest.fixture(scope="session")
def rich() -> str:
    """A realistic answer: every common construct once, as a model would write it."""
    return r"""# Forecasting with *Prophet*

A short **overview** with `inline code`, ~~old~~ ideas and a [link](https://facebook.github.io/prophet/). It costs
$5 and then $10 a month. The method fits a curve of trend, weekly and yearly seasonality and holidays to the series
you give it, and is robust to missing data, which is why it is popular; see https://example.org/docs for more about
that.

## Steps

1. Load the data into a frame with the columns `ds` and `y`
2. Fit the model
   - with defaults, which do well on daily data
   - with *holidays*, if your shop closes on them
3. Evaluate it on the last month, which it must not have seen

| Model | Error in per cent | Time to fit |
| :--- | ---: | :---: |
| Prophet, with holidays | 4.2 % | 12 seconds |
| ARIMA, seasonal | 5.1 % | 40 seconds |

> Forecasting is hard, **especially** about the future, and nobody who sells you a number without an interval next to
> it should be believed.

```python
import pandas as pd

def forecast(frame: pd.DataFrame, days: int = 30) -> pd.DataFrame:
    model = Prophet(yearly_seasonality=True)  # the default
    return model.fit(frame).predict(days)
```

Here $y(t) = g(t) + s(t) + h(t) + \epsilon_t$ is the model, where the trend $g$ is piecewise linear, and

$$
s(t) = \sum_{n=1}^{N} \left( a_n \cos\frac{2\pi n t}{P} + b_n \sin\frac{2\pi n t}{P} \right)
$$

![The forecast](https://example.org/plot.png)

---

Tell me if you want the *full* notebook.
"""
