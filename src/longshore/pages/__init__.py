"""HTML pages that need nobody else: elements, scales, words, style and frame. What is on a page is its service's."""
