#!/usr/bin/env python3
import json
import sys

print(json.dumps({"arguments": sys.argv[1:]}))
