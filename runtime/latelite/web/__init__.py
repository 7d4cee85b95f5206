"""``latelite export --to web``: a collection as a static site that searches itself in the browser.

The JavaScript library that the site consists of lies in ``runtime/web``; here is what writes the files that it reads.
"""
