def write(path, results, charts):
    pass
