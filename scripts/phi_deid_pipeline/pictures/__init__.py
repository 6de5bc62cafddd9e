"""Pictures of burned-in text for a person's eye: original, boxes with verdicts and result; contact sheets of what was written."""
