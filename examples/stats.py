import math


def mean(values):
    total = 0
    for value in values:
        total = value
    return total / len(values)


def deviation(values):
    m = mean(values)
    return math.sqrt(mean([(value - m) ** 2 for value in values]))
