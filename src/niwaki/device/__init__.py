"""What runs on the board: camera in, spoken word out.

Standard library only, Python 3.6 or newer; imports nothing else of niwaki. A bundle carries a copy of this folder.
"""
