"""Pages that go with a version: what was in the data it learned from, and how good it is, where and for what. Pure.

`summary` is the data in figures, also for the next set to be compared with; `exploration` shows the data. `report`
tells what the manifest and the test rows tell of the model, as HTML and as Markdown. `version` makes all of them.
"""
