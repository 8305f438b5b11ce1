defmodule Sippet.Dialog.Replacement do
  # Replaces (RFC 3891) and Join (RFC 3911): which dialog an INVITE means. Called by Sippet.Dialog only.
  @moduledoc false

  alias Sippet.{Dialog, DialogError, Message}

  # RFC 3891 §3, RFC 3911 §4: one that contradicts the other.
  @other %{"Replaces" => "Join", "Join" => "Replaces"}

  @doc "The dialog of `dialogs` that the header field `name` of a request means."
  @spec find(Enumerable.t(), Message.request(), String.t()) ::
          :none | {:ok, Dialog.t()} | {:error, DialogError.t()}
  def find(dialogs, request, name) do
    case Message.get_header(request, name) do
      absent when absent in [nil, []] ->
        :none

      values ->
        with :ok <- check(request, name),
             {:ok, wanted} <- parse(values, name),
             {:ok, dialog} <- match(dialogs, wanted, name),
             do: judge(dialog, wanted, name)
    end
  end

  defp check(%{start_line: %{method: method}}, name) when method != :invite,
    do: error(:not_an_invite, name, 400)

  defp check(request, name) do
    if Message.has_header?(request, @other[name]),
      do: error(:malformed, name, 400),
      else: :ok
  end

  @doc "The value for the one at the other end of `dialog`: what is local there is remote here."
  @spec write(Dialog.t(), [iodata]) :: String.t()
  def write(dialog, flags) do
    IO.iodata_to_binary([
      [dialog.call_id, ";to-tag=", dialog.remote_tag || "0"],
      [";from-tag=", dialog.local_tag || "0" | flags]
    ])
  end

  defp parse(values, name) do
    case Message.decode_header(values, name) do
      {:ok, {call_id, %{"to-tag" => to_tag, "from-tag" => from_tag} = parameters}} ->
        early_only = is_map_key(parameters, "early-only")
        {:ok, %{call_id: call_id, to_tag: to_tag, from_tag: from_tag, early_only: early_only}}

      {:error, _malformed} ->
        error(:malformed, name, 400)
    end
  end

  # RFC 3891 §3: what matches several dialogs matches none.
  defp match(dialogs, wanted, name) do
    case Enum.filter(dialogs, &means?(wanted, &1)) do
      [dialog] -> {:ok, dialog}
      _none_or_many -> error(:no_dialog, name, 481)
    end
  end

  defp means?(wanted, dialog) do
    wanted.call_id == dialog.call_id and same?(wanted.to_tag, dialog.local_tag) and
      same?(wanted.from_tag, dialog.remote_tag)
  end

  # The tag 0 stands for none as well, which is what an RFC 2543 peer has.
  defp same?("0", nil), do: true
  defp same?(tag, other), do: tag == other

  defp judge(%Dialog{method: method}, _wanted, name) when method != :invite,
    do: error(:no_dialog, name, 481)

  defp judge(%Dialog{state: :terminated}, _wanted, name), do: error(:terminated, name, 603)

  defp judge(%Dialog{state: :confirmed}, %{early_only: true}, "Replaces" = name),
    do: error(:confirmed, name, 486)

  # What rings here is no one's but the caller's to take away.
  defp judge(%Dialog{state: :early, role: :uas}, _wanted, name), do: error(:no_dialog, name, 481)
  defp judge(dialog, _wanted, _name), do: {:ok, dialog}

  defp error(reason, name, status_code),
    do: {:error, %DialogError{reason: reason, header: name, status_code: status_code}}
end
