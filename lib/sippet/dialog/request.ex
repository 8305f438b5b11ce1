defmodule Sippet.Dialog.Request do
  # A request out of a dialog (§12.2.1.1). Called by Sippet.Dialog only.
  @moduledoc false

  alias Sippet.{Dialog, Message}
  alias Sippet.Dialog.{Part, Route}

  @of_dialog [:via, :from, :to, :call_id, :cseq, :route, :record_route]

  @doc "The request with this CSeq; `contact` is ours, or `nil` where it takes none."
  @spec build(
          Dialog.t(),
          {non_neg_integer, Message.method()},
          contact :: Message.Headers.address() | nil,
          [Dialog.request_option()]
        ) :: Message.request()
  def build(dialog, {_number, method} = cseq, contact, options) do
    options = Keyword.validate!(options, [:body, via: [], headers: []])
    {uri, route, target} = Route.apply(dialog.route_set, dialog.remote_target, protocol(options))

    headers = %{
      max_forwards: 70,
      from: address(dialog.local_uri, dialog.local_tag),
      to: address(dialog.remote_uri, dialog.remote_tag),
      call_id: dialog.call_id,
      cseq: cseq
    }

    headers =
      headers
      |> put_list(:via, options[:via])
      |> put_list(:route, route)
      |> put_list(:contact, List.wrap(contact))
      |> Map.merge(further!(options[:headers]))

    request = %{Message.build_request(method, uri) | target: target, headers: headers}
    check_contact!(dialog, request)
    put_body(request, options[:body])
  end

  defp further!(headers) do
    headers = Map.new(headers)

    for header <- @of_dialog, is_map_key(headers, header) do
      raise ArgumentError, "expected :headers without #{inspect(header)}, which is the dialog's"
    end

    headers
  end

  defp protocol(options) do
    case options[:via] do
      [{_version, protocol, _sent_by, _parameters} | _] -> protocol
      [] -> :udp
    end
  end

  defp put_list(headers, _header, []), do: headers
  defp put_list(headers, header, list), do: Map.put(headers, header, list)

  defp address({display_name, uri}, nil), do: {display_name, uri, %{}}
  defp address({display_name, uri}, tag), do: {display_name, uri, %{"tag" => tag}}

  defp check_contact!(%Dialog{secure: true}, request) do
    case Part.contact_uri(request) do
      %{scheme: scheme} = uri when scheme != "sips" ->
        raise ArgumentError, "expected a sips Contact in a dialog that is secure, got: #{uri}"

      _other ->
        :ok
    end
  end

  defp check_contact!(_dialog, _request), do: :ok

  defp put_body(request, nil), do: request

  defp put_body(request, body),
    do: Message.put_header(%{request | body: body}, :content_length, byte_size(body))
end
