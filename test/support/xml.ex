defmodule Sippet.Test.XML do
  # XML by OTP's xmerl, as `{name, attributes, content}` and strings. Where xmerl is not on the code path, as no application
  # here depends on it, it is looked for.
  @moduledoc false

  def parse(text) do
    for path <- Path.wildcard("#{:code.lib_dir()}/xmerl-*/ebin"), do: Code.append_path(path)
    characters = :unicode.characters_to_list(text)
    {document, []} = apply(:xmerl_scan, :string, [characters, [quiet: true, space: :preserve]])
    tree(document)
  end

  defp tree(element) when elem(element, 0) == :xmlElement do
    attributes = Map.new(elem(element, 7), &{elem(&1, 1), to_string(elem(&1, 8))})
    {elem(element, 1), attributes, Enum.map(elem(element, 8), &tree/1)}
  end

  defp tree(text) when elem(text, 0) == :xmlText, do: to_string(elem(text, 4))

  @doc "All elements of a name, in their order."
  def elements({name, _, content} = element, name), do: [element | elements(content, name)]
  def elements({_other, _, content}, name), do: elements(content, name)

  def elements(content, name) when is_list(content),
    do: Enum.flat_map(content, &elements(&1, name))

  def elements(_text, _name), do: []

  @doc "The text in an element."
  def text({_name, _, content}), do: Enum.map_join(content, &text/1)
  def text(text), do: text
end
