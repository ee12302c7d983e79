"""What runs on the board: camera in, spoken word out.

Standard library only, Python 3.6 or newer. A bundle carries a copy of this folder.
May import: nothing else of niwaki.
"""
